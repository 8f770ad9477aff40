%% What was encrypted once can be read always: the secret is in the library's server.
-module(harbour_credentials_obfuscation).
-behaviour(harbour_use).
-export([hold/0, use/2]).

hold() ->
    ok = credentials_obfuscation:set_secret(<<"open sesame">>),
    {encrypted, _} = credentials_obfuscation:encrypt(<<"first">>).

use(First, N) ->
    <<"first">> = credentials_obfuscation:decrypt(First),
    Text = integer_to_binary(N),
    Text = credentials_obfuscation:decrypt(credentials_obfuscation:encrypt(Text)),
    ok.
