%% Has systools make a relup, for the agent: a script, not a module, since a release may have no compiler.
%%
%% Arguments: a file for the relup, the .rel of the new release and of the old one, both without their suffix, and the
%% directories where their applications are, those first that count.
[_, Out, New, Old | Path] = init:get_plain_arguments(),
Dir = filename:dirname(Out),
case systools:make_relup(New, [Old], [], [{path, Path}, {outdir, Dir}, silent]) of
    {ok, _, Mod, Warnings} ->
        [io:format("warning: ~ts~n", [string:trim(Mod:format_warning(W))]) || W <- Warnings],
        ok = file:rename(filename:join(Dir, "relup"), Out);
    {error, Mod, Reason} ->
        io:format("error: ~ts~n", [string:trim(Mod:format_error(Reason))])
end.
