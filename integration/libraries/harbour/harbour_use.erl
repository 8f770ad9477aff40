%% Uses a library over and over. A use that does not find what the uses before it have left there is wrong.
-module(harbour_use).
-behaviour(gen_server).
-export([start_link/1, uses/0, wrong/0]).
-export([init/1, handle_call/3, handle_cast/2, handle_info/2]).

%% What a user of a library holds from its first use to its last.
-callback hold() -> Held :: term().
-callback use(Held :: term(), N :: pos_integer()) -> ok.

-define(PAUSE_MS, 10).

start_link(User) -> gen_server:start_link({local, ?MODULE}, ?MODULE, User, []).

uses() -> gen_server:call(?MODULE, uses).

wrong() -> gen_server:call(?MODULE, wrong).

init(User) -> {ok, #{user => User, held => User:hold(), uses => 0, wrong => []}, ?PAUSE_MS}.

handle_call(Key, _From, State) -> {reply, maps:get(Key, State), State, ?PAUSE_MS}.

handle_cast(_, State) -> {noreply, State, ?PAUSE_MS}.

handle_info(timeout, State = #{user := User, held := Held, uses := Uses, wrong := Wrong}) ->
    N = Uses + 1,
    Now = try User:use(Held, N) of ok -> [] catch Class:Reason:Stack -> [{N, Class, Reason, hd(Stack)}] end,
    {noreply, State#{uses := N, wrong := lists:sublist(Now ++ Wrong, 10)}, ?PAUSE_MS};
handle_info(Message, State = #{wrong := Wrong}) ->
    {noreply, State#{wrong := lists:sublist([Message | Wrong], 10)}, ?PAUSE_MS}.
