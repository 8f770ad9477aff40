%% Makes packages of a small release, as rebar3 makes them, without OTP.
-module(mk).
-export([packages/2]).

packages(Src, Out) ->
    Versions = ["1.0.0", "1.1.0", "1.2.0"],
    [app(Src, Out, V) || V <- Versions],
    [script(Out, V) || V <- Versions],
    [relup(Out, V) || V <- tl(Versions)],
    [pack(Out, V) || V <- Versions].

app(Src, Out, V) ->
    Dir = Out ++ "/lib/cnt-" ++ V ++ "/ebin/",
    ok = filelib:ensure_dir(Dir),
    [{ok, _} = compile:file(Src ++ "/" ++ M, [{outdir, Dir}, {d, 'VERSION', V}, deterministic]) || M <- ["cnt", "cnt_sup"]],
    write(Dir ++ "cnt.app", {application, cnt, [{description, "a counter"}, {vsn, V}, {modules, [cnt, cnt_sup]}, {registered, []},
                                                {applications, [kernel, stdlib, sasl]}, {mod, {cnt_sup, []}}]}),
    Change = [{before(V), [{update, cnt, {advanced, []}}]}],
    write(Dir ++ "cnt.appup", {V, Change, Change}).

before(V) -> "1." ++ integer_to_list(lists:nth(3, V) - $1) ++ ".0".

script(Out, V) ->
    ok = filelib:ensure_dir(rel(Out, V)),
    Apps = [{A, vsn(A)} || A <- [kernel, stdlib, sasl]] ++ [{cnt, V}],
    write(rel(Out, V) ++ ".rel", {release, {"cnt", V}, {erts, erlang:system_info(version)}, Apps}),
    Lib = filename:absname(Out ++ "/lib"),
    {ok, _, _} = systools:make_script(rel(Out, V), [silent, path(Out), {variables, [{"RELEASE_LIB", Lib}]}]),
    ok = file:rename(rel(Out, V) ++ ".boot", Out ++ "/releases/" ++ V ++ "/start.boot"),
    write(Out ++ "/releases/" ++ V ++ "/sys.config", []).

relup(Out, V) ->
    Before = [rel(Out, before(V))],
    {ok, _, _, _} = systools:make_relup(rel(Out, V), Before, Before, [silent, path(Out), {outdir, Out ++ "/releases/" ++ V}]).

pack(Out, V) ->
    Files = [F || Pattern <- ["lib/cnt-" ++ V ++ "/ebin/*", "releases/" ++ V ++ "/*"], F <- filelib:wildcard(Pattern, Out)],
    ok = erl_tar:create(Out ++ "/cnt-" ++ V ++ ".tar.gz", [{F, Out ++ "/" ++ F} || F <- Files], [compressed]).

rel(Out, V) -> Out ++ "/releases/" ++ V ++ "/cnt".
path(Out) -> {path, [filename:absname(Out) ++ "/lib/*/ebin"]}.
vsn(A) -> _ = application:load(A), {ok, V} = application:get_key(A, vsn), V.
write(File, Term) -> ok = file:write_file(File, io_lib:format("~p.~n", [Term])).
