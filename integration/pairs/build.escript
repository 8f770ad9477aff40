%% Usage: escript build.escript PAIR...
%%
%% Makes old.tar.gz and new.tar.gz in each directory PAIR, from its directories old and new, as rebar3 makes packages of a
%% release without OTP. In each of the two is a directory for each application, with modules and maybe an appup, and beside
%% them maybe sys.config and vm.args. Two more files say what differs from the usual, as terms, one after another:
%%
%%   APPLICATION/app   keys of its .app
%%   rel               {vsn, V}; {applications, [{App, Vsn} | {App, Vsn, Type}]} instead of the usual ones;
%%                     {relup, none} where the package has none; a file relup is used as it is
main(Pairs) ->
    [pair(filename:absname(P)) || P <- Pairs].

pair(Dir) ->
    Old = release(Dir ++ "/old", "1.0.0"),
    New = release(Dir ++ "/new", "1.1.0"),
    relup(New, Old),
    [pack(R, R1 ++ ".tar.gz") || {R, R1} <- [{Old, Dir ++ "/old"}, {New, Dir ++ "/new"}]].

release(Src, Usual) ->
    Keys = terms(Src ++ "/rel"),
    V = proplists:get_value(vsn, Keys, Usual),
    Tree = Src ++ ".tree",
    Apps = [app(Src, A, Tree, Usual) || A <- apps(Src)],
    Release = Tree ++ "/releases/" ++ V ++ "/",
    ok = filelib:ensure_dir(Release),
    [{ok, _} = file:copy(Src ++ "/" ++ F, Release ++ F) || F <- ["sys.config", "vm.args", "relup"], filelib:is_regular(Src ++ "/" ++ F)],
    Otp = [{A, vsn(A)} || A <- [kernel, stdlib, sasl]],
    write(Release ++ "shop.rel", {release, {"shop", V}, {erts, erlang:system_info(version)}, proplists:get_value(applications, Keys, Otp ++ Apps)}),
    boot(Release, Tree),
    #{tree => Tree, release => Release, relup => proplists:get_value(relup, Keys, made)}.

apps(Src) -> [filename:basename(D) || D <- lists:sort(filelib:wildcard(Src ++ "/*")), filelib:is_dir(D)].

app(Src, App, Tree, Usual) ->
    Keys = terms(filename:join([Src, App, "app"])),
    V = proplists:get_value(vsn, Keys, Usual),
    Ebin = filename:join([Tree, "lib", App ++ "-" ++ V, "ebin"]),
    ok = filelib:ensure_dir(Ebin ++ "/"),
    Modules = [module(F, Ebin) || F <- filelib:wildcard(filename:join([Src, App, "*.erl"]))],
    Start = [{mod, {list_to_atom(App ++ "_app"), []}} || lists:member(list_to_atom(App ++ "_app"), Modules)],
    All = [{vsn, V}, {description, "a pair"}, {modules, Modules}, {registered, []}, {applications, [kernel, stdlib]}] ++ Start,
    write(filename:join(Ebin, App ++ ".app"), {application, list_to_atom(App), lists:ukeysort(1, Keys ++ All)}),
    [{ok, _} = file:copy(F, filename:join(Ebin, filename:basename(F))) || F <- filelib:wildcard(filename:join([Src, App, "*.appup"]))],
    {list_to_atom(App), V}.

module(File, Ebin) ->
    {ok, Module} = compile:file(File, [{outdir, Ebin}, debug_info, deterministic, report]),
    Module.

%% A library of OTP that is not there is a mistake too, and needs no boot script.
boot(Release, Tree) ->
    Options = [silent, no_warn_sasl, {path, path(Tree)}, {variables, [{"RELEASE_LIB", Tree ++ "/lib"}]}],
    case systools:make_script(Release ++ "shop", Options) of
        {ok, _, _} -> ok = file:rename(Release ++ "shop.boot", Release ++ "start.boot");
        {error, systools_make, Why} -> write(Release ++ "start.boot", Why)
    end.

relup(#{relup := none}, _) -> ok;
relup(#{release := Release, tree := New}, #{release := Before, tree := Old}) ->
    Options = [silent, {path, path(New) ++ path(Old)}, {outdir, Release}],
    case filelib:is_regular(Release ++ "relup") orelse systools:make_relup(Release ++ "shop", [Before ++ "shop"], [Before ++ "shop"], Options) of
        true -> ok;
        {ok, _, _, _} -> ok;
        {error, Module, Why} -> io:format("~ts: ~ts~n", [Release, Module:format_error(Why)]), halt(1)
    end.

pack(#{tree := Tree}, Tar) ->
    Files = [F || F <- filelib:wildcard("**", Tree), filelib:is_regular(filename:join(Tree, F)), filename:extension(F) =/= ".script"],
    ok = erl_tar:create(Tar, [{F, filename:join(Tree, F)} || F <- Files], [compressed]).

path(Tree) -> [Tree ++ "/lib/*/ebin"].
vsn(App) -> _ = application:load(App), {ok, V} = application:get_key(App, vsn), V.
write(File, Term) -> ok = file:write_file(File, io_lib:format("~tp.~n", [Term])).

terms(File) ->
    case file:consult(File) of
        {ok, Terms} -> Terms;
        {error, enoent} -> []
    end.
