%% What the service answers over HTTP.
-module(demo_api).

-export([handle/2, bad_request/0]).

-type answer() :: {Status :: binary(), Body :: iodata()}.

-spec handle(atom() | binary(), binary()) -> answer().
handle('GET', Target) ->
    case binary:split(Target, <<"?">>) of
        [Path] -> get(Path, []);
        [Path, Query] -> get(Path, uri_string:dissect_query(Query))
    end;
handle(_Method, _Target) ->
    bad_request().

-spec bad_request() -> answer().
bad_request() ->
    {<<"400 Bad Request">>, <<"bad request\n">>}.

get(<<"/version">>, _) ->
    ok(version(demo));
get(<<"/health">>, _) ->
    ok(<<"ok">>);
get(<<"/count">>, [{<<"key">>, Key}]) when is_binary(Key), Key =/= <<>> ->
    ok(integer_to_binary(demo_registry:increment(Key)));
get(<<"/count">>, _) ->
    bad_request();
get(<<"/greeting">>, _) ->
    ok(demo_registry:greeting());
get(<<"/sessions">>, _) ->
    ok(integer_to_binary(sessions()));
get(<<"/stats">>, _) ->
    ok(demo_stats:text());
get(_, _) ->
    {<<"404 Not Found">>, <<"not found\n">>}.

ok(Text) ->
    {<<"200 OK">>, [Text, $\n]}.

version(Application) ->
    {ok, Version} = application:get_key(Application, vsn),
    Version.

sessions() ->
    proplists:get_value(active, supervisor:count_children(demo_session_sup)).
