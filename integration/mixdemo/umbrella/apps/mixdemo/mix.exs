defmodule Mixdemo.MixProject do
  use Mix.Project

  @version __DIR__ |> Path.join("../../VERSION") |> File.read!() |> String.trim()

  def project do
    [
      app: :mixdemo,
      version: @version,
      build_path: "../../_build",
      config_path: "../../config/config.exs",
      deps_path: "../../deps",
      lockfile: "../../mix.lock",
      deps: [{:mixdemo_words, in_umbrella: true}]
    ]
  end

  def application, do: [mod: {Mixdemo.Application, []}, extra_applications: [:logger, :sasl]]
end
