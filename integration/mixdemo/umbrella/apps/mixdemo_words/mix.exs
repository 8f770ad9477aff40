defmodule MixdemoWords.MixProject do
  use Mix.Project

  def project do
    [
      app: :mixdemo_words,
      version: "0.1.0",
      build_path: "../../_build",
      config_path: "../../config/config.exs",
      deps_path: "../../deps",
      lockfile: "../../mix.lock",
      deps: []
    ]
  end

  def application, do: []
end
