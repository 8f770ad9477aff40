-module(quay_page).
-export([init/2]).

init(Req, What) ->
    {ok, cowboy_req:reply(200, #{<<"content-type">> => <<"text/plain">>}, body(What), Req), What}.

body(version) -> <<"1.0.0">>;
body(visits) -> integer_to_binary(quay_visits:count()).
