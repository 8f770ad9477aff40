-module(harbour_sup).
-behaviour(supervisor).
-export([start_link/0, init/1]).

start_link() -> supervisor:start_link({local, ?MODULE}, ?MODULE, []).

init([]) ->
    {ok, Library} = application:get_env(harbour, library),
    Start = {harbour_use, start_link, [list_to_existing_atom("harbour_" ++ atom_to_list(Library))]},
    {ok, {#{}, [#{id => use, start => Start, modules => [harbour_use]}]}}.
