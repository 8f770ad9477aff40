%% Usage: escript systools.escript COMPILED WORK OLD NEW
%%
%% Makes target systems as OTP's System Principles describe them: script, relup and tar by systools, then start_erl.data and RELEASES.
main([Compiled, Work | Versions]) ->
    [Old, New] = [write_rel(Compiled, Work, V) || V <- Versions],
    Path = [{path, [filename:join([Compiled, V, "ebin"]) || V <- Versions]}],
    [ok = systools:make_script(Rel, Path ++ [{outdir, filename:dirname(Rel)}, no_module_tests]) || Rel <- [Old, New]],
    ok = systools:make_relup(New, [Old], [Old], Path ++ [{outdir, filename:dirname(New)}, warnings_as_errors]),
    [pack(Work, Rel, Path) || Rel <- [Old, New]].

write_rel(Compiled, Work, V) ->
    Dir = filename:join(Work, V),
    Rel = filename:join(Dir, "tally"),
    ok = filelib:ensure_dir(Rel),
    Apps = [{A, version(A)} || A <- [kernel, stdlib, sasl]] ++ [{tally, V}],
    ok = file:write_file(Rel ++ ".rel", io_lib:format("~p.~n", [{release, {"tally", V}, {erts, erlang:system_info(version)}, Apps}])),
    {ok, _} = file:copy(filename:join([Compiled, V, "sys.config"]), filename:join(Dir, "sys.config")),
    Rel.

version(App) ->
    _ = application:load(App),
    {ok, V} = application:get_key(App, vsn),
    V.

pack(Work, Rel, Path) ->
    Dir = filename:dirname(Rel),
    V = filename:basename(Dir),
    ok = systools:make_tar(Rel, Path ++ [{outdir, Dir}, {erts, code:root_dir()}]),
    Tree = filename:join(Dir, "tree"),
    ok = erl_tar:extract(Rel ++ ".tar.gz", [{cwd, Tree}, compressed]),
    Releases = filename:join(Tree, "releases"),
    ok = file:write_file(filename:join(Releases, "start_erl.data"), [erlang:system_info(version), " ", V]),
    ok = release_handler:create_RELEASES(Releases, filename:join(Releases, "tally.rel"), []),
    {ok, Top} = file:list_dir(Tree),
    ok = erl_tar:create(filename:join(Work, "tally-" ++ V ++ ".tar.gz"), [{N, filename:join(Tree, N)} || N <- Top], [compressed]).
