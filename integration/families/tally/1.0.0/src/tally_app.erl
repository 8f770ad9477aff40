-module(tally_app).
-behaviour(application).
-export([start/2, stop/1, config_change/3]).

start(_Type, _Args) -> tally_sup:start_link().

stop(_State) -> ok.

%% What it was told is there to be asked for.
config_change(Changed, New, Removed) ->
    persistent_term:put(tally_config, {lists:sort(Changed), lists:sort(New), lists:sort(Removed)}).
