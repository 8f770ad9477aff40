%% What is known of a release's applications, for the agent: a script, not a module, since a release may have no compiler.
%%
%% Arguments: a file for the answer, then App=Dir=OldVsn for each application that is asked for, its ebin directory, and the
%% version that it is compared with; empty: none. The code path must hold the release's own libraries.
%%
%% The answer: [{App, CallbackModule, HasAppup, HasConfigChange, [{Module, Md5, Kinds, CodeChange, Nif, Imports, Children, Name, Reads, Source, Start}]}]
%%   Kinds       behaviours, and special where it has system_code_change/4
%%   CodeChange  none | same | real: whether a state may be another one after it
%%   Name        the one under which a supervisor registers, or undefined
%%   Children    none | dynamic | once | unknown | {Flags, [{Id, Type, Modules, Start, Rest}]}, of which flags, start and rest are text;
%%               once: init/1 fails where it runs again
%%   Reads       keys of applications' environments that it reads when a process of it starts, as far as its debug_info tells
%%   Source      a digest of what was written, whatever compiled it, or unknown
%%   Start       the same of what begins a process or an application: init, what comes before the first event, start/2, and what these
%%               reach in the module
[_, Out | Asked] = init:get_plain_arguments(),

Behaviours = fun(Attributes) ->
    lists:append([List || {Key, List} <- Attributes, Key =:= behaviour orelse Key =:= behavior])
end,

%% The whole of a clause is to give back what it was given.
IsSame = fun
    (code_change, {clause, _, [_, {var, _, State}, _], [], [{tuple, _, [{atom, _, ok}, {var, _, State}]}]}) -> State =/= '_';
    (code_change, {clause, _, [_, {var, _, State}, {var, _, Data}, _], [], [{tuple, _, [{atom, _, ok}, {var, _, State}, {var, _, Data}]}]}) ->
        State =/= '_';
    (system_code_change, {clause, _, [{var, _, State}, _, _, _], [], [{tuple, _, [{atom, _, ok}, {var, _, State}]}]}) -> State =/= '_';
    (_, _) -> false
end,

Forms = fun(File) ->
    case catch beam_lib:chunks(File, [abstract_code]) of
        {ok, {_, [{abstract_code, {_, List}}]}} -> List;
        _ -> []
    end
end,

Hex = fun(Binary) -> lists:flatten([io_lib:format("~2.16.0b", [B]) || <<B>> <= Binary]) end,

%% Functions and records of a module, by what names them there. A type says nothing of what is done.
PartsOf = fun(File) ->
    Untyped = fun({typed_record_field, Field, _}) -> Field; (Field) -> Field end,
    maps:from_list(lists:append([case Form of
        {function, _, Name, Arity, _} -> [{{Name, Arity}, Form}];
        {attribute, A, record, {Name, Fields}} -> [{{record, Name}, {attribute, A, record, {Name, [Untyped(F) || F <- Fields]}}}];
        _ -> []
    end || Form <- Forms(File)]))
end,

%% Printed, they have no positions any more; erl_parse:map_anno/2 leaves some.
Digest = fun([]) -> unknown;
    (Parts) -> Hex(erlang:md5(unicode:characters_to_binary(lists:sort([lists:flatten(erl_pp:form(Part)) || Part <- Parts]))))
end,

%% What a part of a module uses of it. Calls of other modules may be taken for its own: then more is compared.
Uses = fun Uses({call, _, {atom, _, Name}, Args}) -> [{Name, length(Args)} | Uses(Args)];
    Uses({call, _, {remote, _, _, {atom, _, Name}}, Args}) -> [{Name, length(Args)} | Uses(Args)];
    Uses({'fun', _, {function, Name, Arity}}) -> [{Name, Arity}];
    Uses({record, _, Name, Fields}) -> [{record, Name} | Uses(Fields)];
    Uses(Tuple) when is_tuple(Tuple) -> Uses(tuple_to_list(Tuple));
    Uses([Head | Tail]) -> Uses(Head) ++ Uses(Tail);
    Uses(_) -> []
end,

Reached = fun Reached([], _, Found) -> maps:values(Found);
    Reached([Key | Keys], Parts, Found) ->
        case Parts of
            #{Key := Part} when not is_map_key(Key, Found) -> Reached(Uses(Part) ++ Keys, Parts, Found#{Key => Part});
            #{} -> Reached(Keys, Parts, Found)
        end
end,

%% What gen_statem calls with an event that is none of others: it enters a state, or has put the event in itself.
Entries = fun(Parts) ->
    [{function, Line, Name, Arity, [Clause]} ||
        {function, Line, Name, Arity, Clauses} <- maps:values(Parts), Arity =:= 3 orelse {Name, Arity} =:= {handle_event, 4},
        {clause, _, [{atom, _, Type} | _], _, _} = Clause <- Clauses, Type =:= enter orelse Type =:= internal]
end,

%% The parts of a module that begin a process: init, and what is called before anybody's event.
Beginning = fun(Parts, Kinds, Others) ->
    Inits = [Key || {init, Arity} = Key <- maps:keys(Parts), is_integer(Arity)],
    Entered = case lists:member(gen_statem, Kinds) of
        true -> Entries(Parts);
        false -> []
    end,
    Entered ++ Reached(Uses(Entered) ++ Inits ++ [{handle_continue, 2}, {callback_mode, 0}] ++ Others, Parts, #{})
end,

CodeChange = fun(Parts, Exports) ->
    case [Key || Key <- [{code_change, 3}, {code_change, 4}, {system_code_change, 4}], lists:member(Key, Exports)] of
        [] -> none;
        Keys ->
            Clauses = [{Name, C} || {Name, _} = Key <- Keys, {function, _, _, _, Cs} <- [maps:get(Key, Parts, none)], C <- Cs],
            case Clauses =/= [] andalso lists:all(fun({Name, C}) -> IsSame(Name, C) end, Clauses) of
                true -> same;
                false -> real
            end
    end
end,

Written = fun(Term) -> lists:flatten(io_lib:format("~0tp", [Term])) end,

Spec = fun
    (#{id := Id, start := Start} = S) ->
        Type = maps:get(type, S, worker),
        Shutdown = maps:get(shutdown, S, case Type of worker -> 5000; supervisor -> infinity end),
        {Id, Type, maps:get(modules, S, [element(1, Start)]), Written(Start), Written({maps:get(restart, S, permanent), Shutdown})};
    ({Id, Start, Restart, Shutdown, Type, Modules}) -> {Id, Type, Modules, Written(Start), Written({Restart, Shutdown})}
end,

Flags = fun
    (#{} = F) -> {maps:get(strategy, F, one_for_one), maps:get(intensity, F, 1), maps:get(period, F, 5)};
    ({Strategy, Intensity, Period}) -> {Strategy, Intensity, Period}
end,

%% Options of Elixir's Supervisor, of which the first of a kind counts.
Named = fun Named({cons, _, {tuple, _, [{atom, _, name}, {atom, _, Name}]}, _}) when Name =/= nil -> Name;
    Named({cons, _, {tuple, _, [{atom, _, Key}, _]}, Others}) when Key =/= name -> Named(Others);
    Named(_) -> undefined
end,

%% How a module is started as a supervisor: under a name, or undefined. There may be names of others beside it.
Names = fun Names(Self, {call, _, {remote, _, {atom, _, supervisor}, {atom, _, start_link}}, [As, {atom, _, Self}, _]}) ->
        case As of
            {tuple, _, [{atom, _, local}, {atom, _, Name}]} -> [Name];
            _ -> [undefined]
        end;
    Names(Self, {call, _, {remote, _, {atom, _, 'Elixir.Supervisor'}, {atom, _, start_link}}, [{atom, _, Self}, _, Options]}) -> [Named(Options)];
    Names(Self, {call, _, {remote, _, {atom, _, Where}, {atom, _, start_link}}, [{atom, _, Self}, _]}) when
            Where =:= supervisor orelse Where =:= 'Elixir.Supervisor' -> [undefined];
    Names(Self, Tuple) when is_tuple(Tuple) -> Names(Self, tuple_to_list(Tuple));
    Names(Self, [Head | Tail]) -> Names(Self, Head) ++ Names(Self, Tail);
    Names(_, _) -> []
end,

Registered = fun(File, Self) ->
    case lists:usort(Names(Self, Forms(File))) of
        [Name] -> Name;
        _ -> undefined
    end
end,

%% The environment's keys in an expression, and the functions of the same module that it calls.
Visits = fun Visits({call, _, {remote, _, {atom, _, Where}, {atom, _, get_env}}, [{atom, _, Key}]}) when Where =:= application -> {[Key], []};
    Visits({call, _, {remote, _, {atom, _, Where}, {atom, _, How}}, [_, {atom, _, Key} | Rest]}) when
            Where =:= application andalso How =:= get_env;
            Where =:= 'Elixir.Application' andalso (How =:= get_env orelse How =:= fetch_env orelse How =:= 'fetch_env!') ->
        {Keys, Calls} = Visits(Rest),
        {[Key | Keys], Calls};
    Visits({call, _, {atom, _, Function}, Args}) ->
        {Keys, Calls} = Visits(Args),
        {Keys, [{Function, length(Args)} | Calls]};
    Visits(Tuple) when is_tuple(Tuple) -> Visits(tuple_to_list(Tuple));
    Visits([Head | Tail]) ->
        {Keys, Calls} = Visits(Head),
        {More, Others} = Visits(Tail),
        {Keys ++ More, Calls ++ Others};
    Visits(_) -> {[], []}
end,

%% What is called at a start of a process, and by that in turn.
Starts = fun({init, 1}) -> true; ({start, 2}) -> true; ({start_link, _}) -> true; (_) -> false end,

Reads = fun(File) ->
    Bodies = maps:from_list([{{F, A}, Visits(Clauses)} || {function, _, F, A, Clauses} <- Forms(File)]),
    Follow = fun Follow([], _, Keys) -> lists:usort(Keys);
        Follow([Function | Others], Seen, Keys) ->
            case {lists:member(Function, Seen), Bodies} of
                {false, #{Function := {These, Calls}}} -> Follow(Calls ++ Others, [Function | Seen], These ++ Keys);
                _ -> Follow(Others, Seen, Keys)
            end
    end,
    Follow([Function || Function <- maps:keys(Bodies), Starts(Function)], [], [])
end,

IsDynamic = fun
    (#{strategy := Strategy}) -> Strategy =:= simple_one_for_one;
    (#{}) -> false;
    (Flags) -> element(1, Flags) =:= simple_one_for_one
end,

%% A supervisor is asked as it would be at its start, and once more, as it is when its code changes (supervisor:code_change/3). One that
%% wants another argument, or more than code, does not say; one that waits for something is silent.
Children = fun(Module) ->
    Self = self(),
    {Pid, Ref} = spawn_monitor(fun() ->
        {ok, {How, Specs}} = Module:init([]),
        Self ! {self(), case {catch Module:init([]), IsDynamic(How)} of
            {{ok, _}, true} -> dynamic;
            {{ok, _}, false} -> {Written(Flags(How)), [Spec(S) || S <- Specs]};
            {_, _} -> once
        end}
    end),
    Answer = receive
        {Pid, Said} -> Said;
        {'DOWN', Ref, process, Pid, _} -> unknown
    after 5000 -> silent
    end,
    erlang:demonitor(Ref, [flush]),
    exit(Pid, kill),
    Answer
end,

Module = fun(File, Begins) ->
    {ok, {Name, [{attributes, Attributes}, {exports, Exports}, {imports, Imports}]}} =
        beam_lib:chunks(File, [attributes, exports, imports]),
    {ok, {Name, Md5}} = beam_lib:md5(File),
    Kinds = Behaviours(Attributes) ++ [special || lists:member({system_code_change, 4}, Exports)],
    IsSupervisor = lists:member(supervisor, Kinds) orelse lists:member('Elixir.Supervisor', Kinds),
    {Below, As} = case IsSupervisor andalso lists:member({init, 1}, Exports) of
        true -> {Children(Name), Registered(File, Name)};
        false -> {none, undefined}
    end,
    Parts = PartsOf(File),
    {Name, Hex(Md5), Kinds, CodeChange(Parts, Exports),
     lists:member({erlang, load_nif, 2}, Imports),
     lists:usort([M || {M, _, _} <- Imports]), Below, As, Reads(File),
     Digest(maps:values(Parts)), Digest(Beginning(Parts, Kinds, Begins))}
end,

HasAppup = fun(_, _, []) -> false;
    (Dir, App, Old) ->
        case file:consult(filename:join(Dir, atom_to_list(App) ++ ".appup")) of
            {ok, [{_, Ups, _}]} -> systools_relup:appup_search_for_version(Old, Ups) =/= error;
            _ -> false
        end
end,

Callback = fun(Dir, App) ->
    case file:consult(filename:join(Dir, atom_to_list(App) ++ ".app")) of
        {ok, [{application, _, Keys}]} ->
            case proplists:get_value(mod, Keys) of {M, _} -> M; _ -> undefined end;
        _ -> undefined
    end
end,

Hears = fun(Dir, Starter) ->
    case beam_lib:chunks(filename:join(Dir, atom_to_list(Starter) ++ ".beam"), [exports]) of
        {ok, {_, [{exports, List}]}} -> lists:member({config_change, 3}, List);
        _ -> false
    end
end,

Application = fun(Text) ->
    [Name, Dir, Old] = string:split(Text, "=", all),
    App = list_to_atom(Name),
    Beams = lists:sort(filelib:wildcard(filename:join(Dir, "*.beam"))),
    Starter = Callback(Dir, App),
    Begins = fun(File) ->
        case filename:basename(File, ".beam") =:= atom_to_list(Starter) of
            true -> [{start, 2}, {start_phase, 3}];
            false -> []
        end
    end,
    {App, Starter, HasAppup(Dir, App, Old), Hears(Dir, Starter), [Module(F, Begins(F)) || F <- Beams]}
end,

Text = io_lib:format("~0tp.~n", [[Application(A) || A <- Asked]]),
ok = file:write_file(Out, unicode:characters_to_binary(Text)).
