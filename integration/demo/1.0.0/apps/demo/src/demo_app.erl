-module(demo_app).
-behaviour(application).

-export([start/2, stop/1, config_change/3]).

start(_Type, _Args) ->
    demo_sup:start_link().

stop(_State) ->
    ok.

%% Called once an upgrade has put the sys.config of the new release in force.
config_change(Changed, _New, _Removed) ->
    case lists:keyfind(greeting, 1, Changed) of
        {greeting, Text} -> demo_registry:set_greeting(Text);
        false -> ok
    end.
