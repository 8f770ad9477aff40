%% Usage: escript relup.escript TREE OLD_TREE...
%%
%% Makes the relup of the release in TREE, up from and down to each of the others, out of the appups.
%% A tree is what rebar3 release makes. rebar3 relup would do for one other release, not for two.
main([New | Olds]) ->
    Names = [rel_name(Old) || Old <- Olds],
    Libs = [filename:join(Tree, "lib/*/ebin") || Tree <- [New | Olds]],
    Target = rel_name(New),
    Options = [{path, Libs}, {outdir, filename:dirname(Target)}, warnings_as_errors],
    ok = systools:make_relup(Target, Names, Names, Options).

rel_name(Tree) ->
    [Rel] = filelib:wildcard(filename:join(Tree, "releases/*/*.rel")),
    filename:rootname(Rel).
