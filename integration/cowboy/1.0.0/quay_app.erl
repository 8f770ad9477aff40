-module(quay_app).
-behaviour(application).
-export([start/2, stop/1]).

start(_Type, _Args) ->
    Routes = cowboy_router:compile([{'_', [{"/version", quay_page, []}, {"/ticks", quay_ticks, []}]}]),
    {ok, _} = cowboy:start_clear(quay, [{port, 8080}], #{env => #{dispatch => Routes}, idle_timeout => infinity}),
    quay_sup:start_link().

stop(_State) -> cowboy:stop_listener(quay).
