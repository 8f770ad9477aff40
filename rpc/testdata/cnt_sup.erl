%% The application and the top supervisor of cnt.
-module(cnt_sup).
-behaviour(application).
-behaviour(supervisor).
-export([start/2, stop/1, init/1, more/1]).

start(_, _) -> supervisor:start_link({local, ?MODULE}, ?MODULE, []).
stop(_) -> ok.

init([]) -> {ok, {#{}, [child(cnt, [{local, cnt}])]}}.

%% more starts N further, unnamed counters, as a service has connections.
more(N) -> [{ok, _} = supervisor:start_child(?MODULE, child(I, [])) || I <- lists:seq(1, N)], ok.

child(Id, Name) -> #{id => Id, start => {gen_server, start_link, Name ++ [cnt, [], []]}, modules => [cnt]}.
