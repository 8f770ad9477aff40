Code.require_file("rel/upgrade.exs", __DIR__)

defmodule Mixdemo.MixProject do
  use Mix.Project

  @version __DIR__ |> Path.join("VERSION") |> File.read!() |> String.trim()

  def project do
    [app: :mixdemo, version: @version, deps: [], start_permanent: true, releases: [mixdemo: release()]]
  end

  def application, do: [mod: {Mixdemo.Application, []}, extra_applications: [:logger, :sasl]]

  defp release, do: [include_executables_for: [:unix], steps: [:assemble, &Upgrade.step/1, :tar]]
end
