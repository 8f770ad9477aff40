%% Usage: escript release.escript LIBS OUT ranch-OLD ranch-NEW
%%
%% The image has the runtime; the packages bring cowboy, cowlib, ranch and quay.
main([Libs, Out, "ranch-" ++ OldRanch, "ranch-" ++ NewRanch]) ->
    Path = [{path, [filename:join([Libs, "*", "ebin"])]}],
    Old = write_rel(Libs, "1.0.0", OldRanch),
    New = write_rel(Libs, "1.1.0", NewRanch),
    [ok = systools:make_script(Rel, Path ++ [{outdir, filename:dirname(Rel)}, no_module_tests]) || Rel <- [Old, New]],
    appup(Libs, OldRanch, NewRanch),
    ok = systools:make_relup(New, [Old], [Old], Path ++ [{outdir, filename:dirname(New)}, warnings_as_errors]),
    [pack(Libs, Out, Rel, V, Ranch) || {Rel, V, Ranch} <- [{Old, "1.0.0", OldRanch}, {New, "1.1.0", NewRanch}]].

write_rel(Libs, V, Ranch) ->
    Dir = filename:join([Libs, "releases", V]),
    Rel = filename:join(Dir, "quay"),
    ok = filelib:ensure_dir(Rel),
    [Cowboy, Cowlib] = [carried(Libs, A) || A <- ["cowboy", "cowlib"]],
    OTP = [{A, version(A)} || A <- [kernel, stdlib, sasl, crypto, asn1, public_key, ssl]],
    Apps = OTP ++ [{ranch, Ranch}, {cowlib, Cowlib}, {cowboy, Cowboy}, {quay, V}],
    ok = file:write_file(Rel ++ ".rel", io_lib:format("~p.~n", [{release, {"quay", V}, {erts, erlang:system_info(version)}, Apps}])),
    ok = file:write_file(filename:join(Dir, "sys.config"), "[].\n"),
    Rel.

carried(Libs, App) ->
    [Dir] = filelib:wildcard(filename:join(Libs, App ++ "-*")),
    [_, V] = string:split(filename:basename(Dir), "-"),
    V.

version(App) ->
    _ = application:load(App),
    {ok, V} = application:get_key(App, vsn),
    V.

%% ranch's own appup leads to each version from the one before it. What it says of the last step covers the steps before, so
%% that one is to lead from there as well. The first term is the newest, and the only one that systools reads.
appup(Libs, Old, New) ->
    File = filename:join([Libs, "ranch-" ++ New, "ebin", "ranch.appup"]),
    {ok, [{New, [{_, Up}], [{_, Down}]} | _]} = file:consult(File),
    ok = file:write_file(File, io_lib:format("~p.~n", [{New, [{Old, Up}], [{Old, Down}]}])).

pack(Libs, Out, Rel, V, Ranch) ->
    Apps = ["cowboy-" ++ carried(Libs, "cowboy"), "cowlib-" ++ carried(Libs, "cowlib"), "ranch-" ++ Ranch, "quay-" ++ V],
    Files = [{"lib/" ++ A ++ "/ebin", filename:join([Libs, A, "ebin"])} || A <- Apps] ++ [{"releases/" ++ V, filename:dirname(Rel)}],
    ok = erl_tar:create(filename:join(Out, "quay-" ++ V ++ ".tar.gz"), Files, [compressed]).
