# What mix leaves out of a release that is to be upgraded: the appups, and the relup. RELUP_FROM names the tree of the
# release before, as mix release has assembled it.
defmodule Upgrade do
  def step(release) do
    for {app, properties} <- release.applications, appup = "appups/#{app}.appup", File.exists?(appup) do
      File.cp!(appup, Path.join([release.path, "lib", "#{app}-#{properties[:vsn]}", "ebin", "#{app}.appup"]))
    end

    before = System.get_env("RELUP_FROM", "")
    if before != "", do: relup(release, before)
    release
  end

  defp relup(release, before) do
    [old] = Path.wildcard("#{before}/releases/*/#{release.name}.rel")
    [new, old] = for rel <- ["#{release.version_path}/#{release.name}", Path.rootname(old)], do: to_charlist(rel)
    libs = for tree <- [release.path, before], do: to_charlist("#{tree}/lib/*/ebin")
    :ok = :systools.make_relup(new, [old], [old], path: libs, outdir: to_charlist(release.version_path))
  end
end
