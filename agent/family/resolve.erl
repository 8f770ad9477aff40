[Base, Out] = init:get_plain_arguments(),
Words = fun(Text) -> unicode:characters_to_binary(Text) end,
Refuse = fun(Text) -> ok = file:write_file(Out ++ ".error", Words(Text)), throw(refused) end,
Parts = fun(Map, Key, Default) -> case Map of #{Key := V} when V =/= nil, V =/= false -> V; _ -> Default end end,
%% Those say what somebody has written. Others show values, which may be secrets: they are for the log alone.
Plain = ['Elixir.RuntimeError', 'Elixir.ArgumentError', 'Elixir.System.EnvError', 'Elixir.UndefinedFunctionError', 'Elixir.File.Error',
         'Elixir.Code.LoadError', 'Elixir.SyntaxError', 'Elixir.TokenMissingError', 'Elixir.MismatchedDelimiterError', 'Elixir.CompileError'],
Message = fun(Class, Reason, Stack) ->
    case 'Elixir.Exception':normalize(Class, Reason, Stack) of
        #{'__struct__' := Kind} = E ->
            case lists:member(Kind, Plain) of
                true -> 'Elixir.Exception':format_banner(Class, E, Stack);
                false -> ['Elixir.Kernel':inspect(Kind), ": the log has what it shows"]
            end;
        _ -> [atom_to_list(Class), ": the log has what it shows"]
    end
end,
Provide = fun({Provider, State}, Config) ->
    Loaded = try Provider:load(Config, State)
    catch Class:Reason:Stack ->
        io:put_chars(standard_error, ['Elixir.Exception':format(Class, Reason, Stack), $\n]),
        Refuse(['Elixir.Kernel':inspect(Provider), " ended with ", Message(Class, Reason, Stack)])
    end,
    case is_list(Loaded) of
        true -> Loaded;
        false -> Refuse(['Elixir.Kernel':inspect(Provider), " gave no keyword list"])
    end
end,
Validate = fun(Config, Expected) ->
    'Elixir.Application':put_all_env(Config, [{persistent, true}]),
    {module, _} = code:ensure_loaded('Elixir.Config.Provider'),
    Known = erlang:function_exported('Elixir.Config.Provider', validate_compile_env, 1),
    try Known andalso 'Elixir.Config.Provider':validate_compile_env(Expected) of
        {error, Why} -> io:put_chars(standard_error, [Why, $\n]), Refuse(Why);
        _ -> ok
    catch error:_ -> % Elixir 1.14 says why on its standard error
        Refuse("a value that was read at compile time is another one now: the log has which")
    end
end,
HasText = fun(Value) ->
    try
        {ok, Tokens, _} = erl_scan:string(lists:flatten(io_lib:format("~0tp.", [Value]))),
        erl_parse:parse_term(Tokens) =:= {ok, Value}
    catch _:_ -> false
    end
end,
Write = fun(Config) ->
    [Refuse(io_lib:format("~ts of ~ts holds a value that has no text, such as a pid, a port, a reference or an anonymous function",
                          ['Elixir.Kernel':inspect(Key), App]))
     || {App, Params} <- Config, {Key, Value} <- Params, not HasText(Value)],
    ok = file:write_file(Out, Words(io_lib:format("%% coding: utf-8~n~tp.~n", [Config]))),
    case file:consult(Out) of
        {ok, [Config]} -> ok;
        _ -> Refuse("it does not read back as it was written")
    end
end,
Status = try
    {ok, _} = application:ensure_all_started(elixir),
    {ok, [Start]} = file:consult(Base),
    'Elixir.Application':put_all_env(Start, []),
    Of = proplists:get_value(elixir, Start, []),
    case proplists:get_value(config_provider_init, Of, none) of
        none -> Write(Start);
        Init ->
            Merged = 'Elixir.Config.Reader':merge(Start, Parts(Init, extra_config, [])),
            Given = lists:foldl(Provide, Merged, Parts(Init, providers, [])),
            Left = lists:keydelete(config_provider_init, 1, proplists:get_value(elixir, Given, [])),
            Config = [{App, case App of elixir -> Left; _ -> Params end} || {App, Params} <- Given, {App, Left} =/= {elixir, []}],
            Validate(Config, Parts(Init, validate_compile_env, [])),
            Write(Config)
    end,
    0
catch
    throw:refused -> 1;
    C:R:S -> file:write_file(Out ++ ".error", Words(Message(C, R, S))), 1
end,
halt(Status).
