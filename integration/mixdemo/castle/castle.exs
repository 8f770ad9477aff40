# A release with what Forecastle would put into it: its files, and its part of env.sh with the marks around that. What stands
# between them does to the volume what Castle's own does, so that a test can see whether anybody ran it.
defmodule Castle do
  def before(release) do
    preboot = Keyword.merge(release.boot_scripts[:start_clean], sasl: :permanent, compiler: :permanent, elixir: :permanent)
    %{release | boot_scripts: Map.put(release.boot_scripts, :preboot, preboot)}
  end

  def step(release) do
    File.cp!("#{release.version_path}/#{release.name}.rel", "#{release.path}/releases/#{release.name}-#{release.version}.rel")
    for name <- ["castle", "start"], do: script(Path.join([release.path, "bin", name]))
    File.write!("#{release.version_path}/env.sh", File.read!("castle/env.sh"), [:append])
    release
  end

  defp script(path) do
    File.write!(path, "#!/bin/sh\nexit 0\n")
    File.chmod!(path, 0o755)
  end
end
