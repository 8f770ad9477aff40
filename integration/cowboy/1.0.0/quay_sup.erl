-module(quay_sup).
-behaviour(supervisor).
-export([start_link/0, init/1]).

start_link() -> supervisor:start_link({local, ?MODULE}, ?MODULE, []).

init([]) -> {ok, {#{}, [#{id => visits, start => {quay_visits, start_link, []}, modules => [quay_visits]}]}}.
