%% What is set stays set: the settings are in a table of jose's server.
-module(harbour_jose).
-behaviour(harbour_use).
-export([hold/0, use/2]).
-export([encode/1, decode/1]).

hold() -> jose:json_module(?MODULE).

use(ok, _) ->
    ?MODULE = jose:json_module(),
    <<"[1]">> = jose:encode([1]),
    ok.

%% A module for JSON. This is all that it makes.
encode([1]) -> <<"[1]">>.

decode(<<"[1]">>) -> [1].
