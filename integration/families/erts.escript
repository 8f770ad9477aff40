%% Usage: escript erts.escript OLD.tar.gz NEW.tar.gz RELUP
%%
%% Makes the relup from a release of tally to one that brings another ERTS, with the appups of this OTP, and back. At its end it
%% restarts the emulator once more: what only another compiler has changed is no application's own change, so no appup loads it.
main([Old, New, Out]) ->
    Work = string:trim(os:cmd("mktemp -d")),
    [OldRel, NewRel] = [extract(Tar, filename:join(Work, Name)) || {Tar, Name} <- [{Old, "old"}, {New, "new"}]],
    {ok, _} = file:copy(filename:join(filename:dirname(escript:script_name()), "tally/1.1.0/src/tally.appup"),
                        filename:join(Work, "new/lib/tally-1.1.0/ebin/tally.appup")),
    Path = [filename:join(code:lib_dir(), "*/ebin"), filename:join(Work, "new/lib/*/ebin"), filename:join(Work, "old/lib/*/ebin")],
    ok = systools:make_relup(NewRel, [OldRel], [OldRel], [{path, Path}, {outdir, Work}, restart_emulator]),
    {ok, _} = file:copy(filename:join(Work, "relup"), Out).

extract(Tar, Dir) ->
    ok = erl_tar:extract(Tar, [{cwd, Dir}, compressed]),
    [Rel] = filelib:wildcard(filename:join(Dir, "releases/*/tally.rel")),
    filename:rootname(Rel).
