%% Usage: escript release.escript OUT LIBS LIBRARY DIR...
%%
%% Makes the package of harbour and the application LIBRARY, with the version that this has: DIR are its directory and those of what it
%% needs beside OTP. The image has the runtime. Harbour is below LIBS.
main([Out, Libs, Library | Dirs]) ->
    Carried = [carried(Dir) || Dir <- [filename:join(Libs, "harbour-1.0.0") | Dirs]],
    {_, Version, _, _} = lists:keyfind(list_to_atom(Library), 1, Carried),
    Dir = filename:join([Libs, Library, "releases", Version]),
    ok = filelib:ensure_dir(filename:join(Dir, "harbour")),
    Rel = filename:join(Dir, "harbour"),
    OTP = otp([kernel, stdlib, sasl, public_key] ++ lists:append([A || {_, _, A, _} <- Carried]) -- [App || {App, _, _, _} <- Carried]),
    %% Harbour is the first one that was carried, and starts last.
    Apps = [{A, version(A)} || A <- OTP] ++ lists:reverse([{A, V} || {A, V, _, _} <- Carried]),
    ok = file:write_file(Rel ++ ".rel", io_lib:format("~p.~n", [{release, {"harbour", Version}, {erts, erlang:system_info(version)}, Apps}])),
    ok = file:write_file(filename:join(Dir, "sys.config"), io_lib:format("[{harbour, [{library, ~s}]}].~n", [Library])),
    Path = [{path, [filename:join(D, "ebin") || {_, _, _, D} <- Carried]}],
    ok = systools:make_script(Rel, Path ++ [{outdir, Dir}, no_module_tests]),
    pack(filename:join(Out, "harbour-" ++ Version ++ ".tar.gz"), Carried, Version, Dir).

carried(Dir) ->
    [File] = filelib:wildcard(filename:join([Dir, "ebin", "*.app"])),
    {ok, [{application, App, Keys}]} = file:consult(File),
    {App, proplists:get_value(vsn, Keys), proplists:get_value(applications, Keys), Dir}.

%% These applications of OTP and what they need, each after its own.
otp(Apps) -> lists:foldl(fun otp/2, [], Apps).

otp(App, Before) ->
    case lists:member(App, Before) of
        true -> Before;
        false ->
            _ = application:load(App),
            {ok, Needed} = application:get_key(App, applications),
            lists:foldl(fun otp/2, Before, Needed) ++ [App]
    end.

version(App) ->
    {ok, V} = application:get_key(App, vsn),
    V.

pack(File, Carried, Version, Release) ->
    ok = filelib:ensure_dir(File),
    Libs = [{filename:join(["lib", atom_to_list(A) ++ "-" ++ V, Sub]), filename:join(Dir, Sub)}
            || {A, V, _, Dir} <- Carried, Sub <- ["ebin", "priv"], filelib:is_dir(filename:join(Dir, Sub))],
    ok = erl_tar:create(File, Libs ++ [{"releases/" ++ Version, Release}], [compressed, dereference]).
