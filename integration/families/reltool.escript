%% Usage: escript reltool.escript COMPILED WORK OLD NEW
%%
%% Makes what reltool makes, with sys.config and relup laid into it, as everybody does who uses it: it knows neither.
main([Compiled, Work, Old, New]) ->
    [create(Compiled, Work, V) || V <- [Old, New]],
    Rels = [filename:join([Work, V, "releases", V, "tally"]) || V <- [Old, New]],
    relup(Compiled, Old, New, Rels),
    [pack(Work, V) || V <- [Old, New]].

create(Compiled, Work, V) ->
    Tree = filename:join(Work, V),
    ok = filelib:ensure_dir(filename:join(Tree, "x")),
    Config = {sys, [
        {app, tally, [{incl_cond, include}, {mod_cond, app}, {lib_dir, filename:join(Compiled, V)}]},
        {rel, "tally", V, [kernel, stdlib, sasl, tally]},
        {rel, "start_clean", "", [kernel, stdlib]},
        {boot_rel, "tally"},
        {profile, embedded},
        {incl_cond, derived}
    ] ++ no_archives(list_to_integer(erlang:system_info(otp_release)))},
    {ok, Server} = reltool:start_server([{config, Config}]),
    ok = reltool:create_target(Server, Tree),
    {ok, _} = file:copy(filename:join([Compiled, V, "sys.config"]), filename:join([Tree, "releases", V, "sys.config"])).

%% Until OTP 26 reltool puts applications into archives, which release_handler cannot upgrade.
no_archives(OTP) when OTP < 27 -> [{excl_archive_filters, [".*"]}];
no_archives(_) -> [].

relup(Compiled, Old, New, [OldRel, NewRel]) ->
    Path = [filename:join([Compiled, V, "ebin"]) || V <- [Old, New]],
    ok = systools:make_relup(NewRel, [OldRel], [OldRel], [{path, Path}, {outdir, filename:dirname(NewRel)}, warnings_as_errors]).

pack(Work, V) ->
    Tree = filename:join(Work, V),
    {ok, Top} = file:list_dir(Tree),
    ok = erl_tar:create(Tree ++ ".tar.gz", [{N, filename:join(Tree, N)} || N <- Top], [compressed]),
    ok = file:rename(Tree ++ ".tar.gz", filename:join(Work, "tally-" ++ V ++ ".tar.gz")).
