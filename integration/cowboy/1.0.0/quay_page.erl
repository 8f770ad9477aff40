-module(quay_page).
-export([init/2]).

init(Req, State) ->
    Body = ["1.0.0 ", integer_to_binary(quay_visits:count())],
    {ok, cowboy_req:reply(200, #{<<"content-type">> => <<"text/plain">>}, Body, Req), State}.
