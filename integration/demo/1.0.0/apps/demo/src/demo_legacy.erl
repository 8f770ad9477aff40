%% An answer for the clients of the first days.
-module(demo_legacy).

-export([text/0]).

-spec text() -> binary().
text() ->
    <<"still here">>.
