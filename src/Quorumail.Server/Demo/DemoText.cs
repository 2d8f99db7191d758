using System.Globalization;

namespace Quorumail.Server.Demo;

/// <summary>What the demonstration says: what runs where, and what to try.</summary>
internal static class DemoText
{
    /// <summary>Prints it.</summary>
    public static void Write(TextWriter output, IReadOnlyList<(DemoNode Node, int Process)> nodes, string directory, bool keep)
    {
        output.WriteLine();
        foreach (var (node, process) in nodes)
        {
            output.WriteLine(string.Create(
                CultureInfo.InvariantCulture,
                $"{node.Name}  SMTP 127.0.0.1:{node.SmtpPort}  HTTP 127.0.0.1:{node.HttpPort}  cluster 127.0.0.1:{node.ClusterPort}  process {process}  log {node.LogPath}"));
        }

        var first = nodes[0];
        var last = nodes[^1].Node;
        output.WriteLine(string.Create(CultureInfo.InvariantCulture, $"""

            What to try, in another terminal:

              smtp-server cluster status --http-port {first.Node.HttpPort}
              smtp-server cluster nodes --http-port {last.HttpPort}

            A message, taken by one node; 250 means that it is on the disks of a majority:

              echo Hello | curl --crlf smtp://127.0.0.1:{last.SmtpPort} --mail-from you@example.org --mail-rcpt postmaster@localhost -T -
              ls {DemoNode.MaildirOf(directory)}/postmaster/new

            Shared state, written at one node and read at another:

              smtp-server cluster state set greeting hello --http-port {first.Node.HttpPort}
              smtp-server cluster state get greeting --read linearizable --http-port {last.HttpPort}

            Kill a node; the others go on, deliver what it had, and it comes back after a while:

              kill -9 {first.Process}
              smtp-server cluster events --http-port {last.HttpPort}

            Ctrl-C stops all nodes{(keep ? $"; {directory} stays" : $" and removes {directory}")}.
            """));
    }
}
