%% Makes a release root with cnt 1.0.0, permanent, and cnt 1.1.0, not yet known, by the OTP that runs this.
-module(mk).
-export([release/2]).

release(Src, Root) ->
    Versions = ["1.0.0", "1.1.0"],
    [link(code:lib_dir(A), Root, "lib", lib(A)) || A <- [kernel, stdlib, sasl]],
    link(code:root_dir() ++ "/erts-" ++ erts(), Root, ".", "erts-" ++ erts()),
    [ok = app(Src, Root, V) || V <- Versions],
    [ok = script(Root, V) || V <- Versions],
    {ok, _, _, _} = systools:make_relup(rel(Root, "1.1.0"), [rel(Root, "1.0.0")], [rel(Root, "1.0.0")],
                                        [silent, path(Root), {outdir, Root ++ "/releases/1.1.0"}]),
    ok = release_handler:create_RELEASES("", Root ++ "/releases", rel(Root, "1.0.0") ++ ".rel", []),
    erts().

app(Src, Root, V) ->
    Dir = Root ++ "/lib/cnt-" ++ V ++ "/ebin/",
    ok = filelib:ensure_dir(Dir),
    [{ok, _} = compile:file(File, [{outdir, Dir}]) || File <- [Src ++ "/" ++ V ++ "/cnt.erl", Src ++ "/cnt_sup.erl"]],
    write(Dir ++ "cnt.app", {application, cnt, [{description, "counters"}, {vsn, V}, {modules, [cnt, cnt_sup]}, {registered, []},
                                                {applications, [kernel, stdlib, sasl]}, {mod, {cnt_sup, []}}]}),
    Change = [{"1.0.0", [{update, cnt, {advanced, []}}]}],
    write(Dir ++ "cnt.appup", {V, Change, Change}).

script(Root, V) ->
    ok = filelib:ensure_dir(rel(Root, V)),
    ok = write(rel(Root, V) ++ ".rel", {release, {"cnt", V}, {erts, erts()}, [{A, vsn(A)} || A <- [kernel, stdlib, sasl]]
                                                                             ++ [{cnt, V}]}),
    {ok, _, _} = systools:make_script(rel(Root, V), [silent, path(Root)]),
    ok = file:rename(rel(Root, V) ++ ".boot", Root ++ "/releases/" ++ V ++ "/start.boot"),
    write(Root ++ "/releases/" ++ V ++ "/sys.config", []).

rel(Root, V) -> Root ++ "/releases/" ++ V ++ "/cnt".
path(Root) -> {path, [Root ++ "/lib/*/ebin"]}.
erts() -> erlang:system_info(version).
vsn(A) -> _ = application:load(A), {ok, V} = application:get_key(A, vsn), V.
lib(A) -> atom_to_list(A) ++ "-" ++ vsn(A).
write(File, Term) -> file:write_file(File, io_lib:format("~p.~n", [Term])).

link(To, Root, Dir, Name) ->
    ok = filelib:ensure_dir(Root ++ "/" ++ Dir ++ "/x"),
    ok = file:make_symlink(To, Root ++ "/" ++ Dir ++ "/" ++ Name).
