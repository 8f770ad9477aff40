-module(quay_app).
-behaviour(application).
-export([start/2, stop/1]).

start(_Type, _Args) ->
    Routes = cowboy_router:compile([
        {'_', [{"/version", quay_page, version}, {"/visits", quay_page, visits}, {"/ticks", quay_ticks, []}]}
    ]),
    {ok, _} = cowboy:start_clear(quay, [{port, 8080}], #{
        env => #{dispatch => Routes}, idle_timeout => infinity, request_timeout => infinity, inactivity_timeout => infinity, max_keepalive => infinity
    }),
    quay_sup:start_link().

stop(_State) -> cowboy:stop_listener(quay).
