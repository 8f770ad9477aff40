import Config

config :mixdemo, greeting: "from config.exs", port: 4000
