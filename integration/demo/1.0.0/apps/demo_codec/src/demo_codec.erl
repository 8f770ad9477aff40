%% Lines of the session protocol: a command, a blank, its argument.
-module(demo_codec).

-export([decode/1, encode/1]).

-spec decode(binary()) -> {Command :: binary(), Argument :: binary()}.
decode(Line) ->
    [Text | _] = binary:split(Line, <<"\n">>),
    case binary:split(Text, <<" ">>) of
        [Command] -> {Command, <<>>};
        [Command, Argument] -> {Command, Argument}
    end.

-spec encode(iodata()) -> iodata().
encode(Reply) ->
    [Reply, $\n].
