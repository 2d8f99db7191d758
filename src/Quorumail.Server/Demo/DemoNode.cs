namespace Quorumail.Server.Demo;

/// <summary>A node of the demonstration: its name, its ports and its directory.</summary>
/// <param name="Name">Its node id.</param>
/// <param name="Directory">Of its data and its log.</param>
/// <param name="SmtpPort">On loopback.</param>
/// <param name="HttpPort">On loopback.</param>
/// <param name="ClusterPort">On loopback.</param>
internal sealed record DemoNode(string Name, string Directory, int SmtpPort, int HttpPort, int ClusterPort)
{
    /// <summary>Its config.toml, beside what arguments and variables say.</summary>
    public string Settings { get; init; } = "";

    /// <summary>Where its HTTP listener is.</summary>
    public Uri HttpAddress => new(FormattableString.Invariant($"http://127.0.0.1:{HttpPort}/"));

    /// <summary>Where its log lines go.</summary>
    public string LogPath => Path.Combine(Directory, "smtp-server.log");

    /// <summary>Chooses free ports, and a directory for each below a common one.</summary>
    public static IReadOnlyList<DemoNode> Plan(int count, string directory) =>
        [.. Enumerable.Range(1, count).Select(i => new DemoNode(
            $"node{i}", Path.Combine(directory, $"node{i}"), FreePort.Take(), FreePort.Take(), FreePort.Take()))];

    /// <summary>What it is called with.</summary>
    public IReadOnlyList<string> Arguments() =>
        FormattableString.Invariant($"--host|127.0.0.1|--port|{SmtpPort}|--http-port|{HttpPort}|--hostname|{Name}.localhost|--data|{Path.Combine(Directory, "data")}").Split('|');

    /// <summary>Where local mail goes, whichever node delivers it.</summary>
    public static string MaildirOf(string directory) => Path.Combine(directory, "maildir");

    /// <summary>The cluster's keys as environment variables, as the guide has them.</summary>
    public IReadOnlyDictionary<string, string> Variables(IEnumerable<DemoNode> all) => new Dictionary<string, string>(StringComparer.Ordinal)
    {
        ["SMTP_STORAGE_MAILDIR_PATH"] = MaildirOf(Path.GetDirectoryName(Directory)!),
        ["SMTP_STORAGE_MAILDIR_SHARED"] = "true",
        ["SMTP_CLUSTER_ENABLED"] = "true",
        ["SMTP_CLUSTER_NODE_ID"] = Name,
        ["SMTP_CLUSTER_BIND_ADDRESS"] = "127.0.0.1",
        ["SMTP_CLUSTER_BIND_PORT"] = FormattableString.Invariant($"{ClusterPort}"),
        ["SMTP_CLUSTER_PEERS"] = string.Join(',', all.Select(node => FormattableString.Invariant($"127.0.0.1:{node.ClusterPort}"))),
    };
}
