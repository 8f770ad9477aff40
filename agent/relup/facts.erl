%% What is known of a release's applications, for the agent: a script, not a module, since a release may have no compiler.
%%
%% Arguments: a file for the answer, then App=Dir=OldVsn for each application that is asked for, its ebin directory, and the
%% version that it is compared with; empty: none. The code path must hold the release's own libraries.
%%
%% The answer: [{App, CallbackModule, HasAppup, [{Module, Md5, Kinds, CodeChange, Nif, Imports, Children, Name}]}]
%%   Kinds       behaviours, and special where it has system_code_change/4
%%   CodeChange  none | same | real: whether a state may be another one after it
%%   Name        the one under which a supervisor registers, or undefined
%%   Children    none | dynamic | unknown | [{Id, Type, Modules}]
[_, Out | Asked] = init:get_plain_arguments(),

Behaviours = fun(Attributes) ->
    lists:append([List || {Key, List} <- Attributes, Key =:= behaviour orelse Key =:= behavior])
end,

%% The whole of a clause is to give back what it was given.
IsSame = fun
    ({clause, _, [_, {var, _, State}, _], [], [{tuple, _, [{atom, _, ok}, {var, _, State}]}]}, 3) -> State =/= '_';
    ({clause, _, [_, {var, _, State}, {var, _, Data}, _], [], [{tuple, _, [{atom, _, ok}, {var, _, State}, {var, _, Data}]}]}, 4) -> State =/= '_';
    (_, _) -> false
end,

Forms = fun(File) ->
    case catch beam_lib:chunks(File, [abstract_code]) of
        {ok, {_, [{abstract_code, {_, List}}]}} -> List;
        _ -> []
    end
end,

CodeChange = fun(File, Exports) ->
    case [Arity || {code_change, Arity} <- Exports, Arity =:= 3 orelse Arity =:= 4] of
        [] -> none;
        [Arity | _] ->
            Clauses = lists:append([Cs || {function, _, code_change, A, Cs} <- Forms(File), A =:= Arity]),
            case Clauses =/= [] andalso lists:all(fun(C) -> IsSame(C, Arity) end, Clauses) of
                true -> same;
                false -> real
            end
    end
end,

Spec = fun
    (#{id := Id} = S) -> {Id, maps:get(type, S, worker), maps:get(modules, S, [])};
    ({Id, _, _, _, Type, Modules}) -> {Id, Type, Modules}
end,

Names = fun Names({tuple, _, [{atom, _, Key}, {atom, _, Name}]}) when Key =:= local; Key =:= name -> [Name];
    Names(Tuple) when is_tuple(Tuple) -> Names(tuple_to_list(Tuple));
    Names([Head | Tail]) -> Names(Head) ++ Names(Tail);
    Names(_) -> []
end,

Registered = fun(File) ->
    case lists:usort(Names(Forms(File))) of
        [Name] -> Name;
        _ -> undefined
    end
end,

IsDynamic = fun
    (#{strategy := Strategy}) -> Strategy =:= simple_one_for_one;
    (#{}) -> false;
    (Flags) -> element(1, Flags) =:= simple_one_for_one
end,

%% A supervisor is asked as it would be at its start. One that wants another argument, or more than code, does not say.
Children = fun(Module) ->
    Self = self(),
    {Pid, Ref} = spawn_monitor(fun() ->
        {ok, {Flags, Specs}} = Module:init([]),
        Self ! {self(), case IsDynamic(Flags) of true -> dynamic; false -> [Spec(S) || S <- Specs] end}
    end),
    Answer = receive
        {Pid, List} -> List;
        {'DOWN', Ref, process, Pid, _} -> unknown
    after 5000 -> unknown
    end,
    erlang:demonitor(Ref, [flush]),
    exit(Pid, kill),
    Answer
end,

Module = fun(File) ->
    {ok, {Name, [{attributes, Attributes}, {exports, Exports}, {imports, Imports}]}} =
        beam_lib:chunks(File, [attributes, exports, imports]),
    {ok, {Name, Md5}} = beam_lib:md5(File),
    Kinds = Behaviours(Attributes) ++ [special || lists:member({system_code_change, 4}, Exports)],
    IsSupervisor = lists:member(supervisor, Kinds) orelse lists:member('Elixir.Supervisor', Kinds),
    {Below, As} = case IsSupervisor andalso lists:member({init, 1}, Exports) of
        true -> {Children(Name), Registered(File)};
        false -> {none, undefined}
    end,
    {Name, lists:flatten([io_lib:format("~2.16.0b", [B]) || <<B>> <= Md5]), Kinds, CodeChange(File, Exports),
     lists:member({erlang, load_nif, 2}, Imports),
     lists:usort([M || {M, _, _} <- Imports]), Below, As}
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

Application = fun(Text) ->
    [Name, Dir, Old] = string:split(Text, "=", all),
    App = list_to_atom(Name),
    Beams = lists:sort(filelib:wildcard(filename:join(Dir, "*.beam"))),
    {App, Callback(Dir, App), HasAppup(Dir, App, Old), [Module(F) || F <- Beams]}
end,

Text = io_lib:format("~0tp.~n", [[Application(A) || A <- Asked]]),
ok = file:write_file(Out, unicode:characters_to_binary(Text)).
