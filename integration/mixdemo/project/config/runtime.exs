import Config

config :mixdemo,
  port: "MIXDEMO_PORT" |> System.fetch_env!() |> String.to_integer(),
  origin: System.get_env("MIXDEMO_ORIGIN"),
  words: ["zażółć", :"gęślą jaźń", ~r/a.c/.source, %{"a" => 1.5, {:b} => ~c"c"}]
