using System.Net;
using System.Net.Sockets;

namespace Quorumail.Server.Demo;

/// <summary>A node of the demonstration: its name, its ports and its directory.</summary>
/// <param name="Name">Its node id.</param>
/// <param name="Directory">Of its data and its log.</param>
/// <param name="SmtpPort">On loopback.</param>
/// <param name="HttpPort">On loopback.</param>
/// <param name="ClusterPort">On loopback.</param>
internal sealed record DemoNode(string Name, string Directory, int SmtpPort, int HttpPort, int ClusterPort)
{
    /// <summary>Where its log lines go.</summary>
    public string LogPath => Path.Combine(Directory, "smtp-server.log");

    /// <summary>Chooses free ports, and a directory for each below a common one.</summary>
    public static IReadOnlyList<DemoNode> Plan(int count, string directory)
    {
        var listeners = Enumerable.Range(0, 3 * count).Select(_ => new TcpListener(IPAddress.Loopback, 0)).ToArray();
        try
        {
            foreach (var listener in listeners)
            {
                listener.Start();
            }

            var ports = listeners.Select(listener => ((IPEndPoint)listener.LocalEndpoint).Port).ToArray();
            return [.. Enumerable.Range(0, count).Select(i => new DemoNode(
                $"node{i + 1}", Path.Combine(directory, $"node{i + 1}"), ports[3 * i], ports[(3 * i) + 1], ports[(3 * i) + 2]))];
        }
        finally
        {
            foreach (var listener in listeners)
            {
                listener.Dispose();
            }
        }
    }

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
