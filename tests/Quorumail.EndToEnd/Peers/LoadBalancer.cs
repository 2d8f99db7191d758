using System.Globalization;
using System.Net;
using System.Net.Sockets;
using Quorumail.EndToEnd.Processes;
using Quorumail.Server.Demo;
using Quorumail.Server.Torture;
using Quorumail.Server.Torture.Load;

namespace Quorumail.EndToEnd.Peers;

/// <summary>HAProxy or nginx with a file of deploy/, in which nothing but addresses and ports has been replaced.</summary>
internal sealed class LoadBalancer : IAsyncDisposable
{
    private static readonly TimeSpan StartLimit = TimeSpan.FromSeconds(20);

    private readonly TemporaryDirectory _directory;
    private readonly ChildProcess _child;

    private LoadBalancer(string name, TemporaryDirectory directory, ChildProcess child, int port)
    {
        Name = name;
        _directory = directory;
        _child = child;
        Port = port;
    }

    /// <summary>Which one.</summary>
    public string Name { get; }

    /// <summary>Where it listens on 127.0.0.1.</summary>
    public int Port { get; }

    /// <summary>What it says.</summary>
    public string Output => $"{Name}: {_child.Output}";

    /// <summary>Starts one before three servers.</summary>
    /// <param name="file">Below deploy/.</param>
    /// <param name="hosts">The servers' addresses.</param>
    /// <param name="serverPort">The port of them all.</param>
    /// <param name="token">Ends the waiting.</param>
    public static async Task<LoadBalancer> StartAsync(string file, IReadOnlyList<string> hosts, int serverPort, CancellationToken token)
    {
        var name = file.Split('/')[0];
        await PeerPrograms.RequireAsync(name, token);
        TemporaryDirectory directory = new();
        var port = FreePort.Take();
        var text = await File.ReadAllTextAsync(Path.Combine(Repository.Root, "deploy", file), token);
        var configuration = directory["configuration"];
        await File.WriteAllTextAsync(configuration, Adapt(text, hosts, serverPort, port), token);
        string[] arguments = ["-db", "-f", configuration];
        if (name == "nginx")
        {
            // Where Debian's package has them, seen from the prefix.
            Directory.CreateSymbolicLink(directory["modules"], Path.Combine(Repository.Root, ".tools/peers/root/usr/lib/nginx/modules"));
            arguments = ["-p", directory.Path, "-e", "stderr", "-c", configuration, "-g", $"daemon off; pid {directory["pid"]};"];
        }

        var child = ChildProcess.Start(PeerPrograms.Locate(name), arguments, directory["output"]);
        LoadBalancer balancer = new(name, directory, child, port);
        await Deadline.UntilAsync(
            async each =>
            {
                Assert.False(child.HasExited, child.Output);
                using TcpClient probe = new();
                try
                {
                    await probe.ConnectAsync(IPAddress.Loopback, port, each);
                    return true;
                }
                catch (SocketException)
                {
                    return false;
                }
            },
            StartLimit,
            () => child.Output,
            token);
        return balancer;
    }

    /// <summary>Who greets a client that connects now; empty if it is hung up on.</summary>
    public async Task<string> GreeterAsync(CancellationToken token)
    {
        try
        {
            using var conversation = await SmtpConversation.ConnectAsync(Port, token);
            var greeting = await conversation.ReadReplyAsync(token);
            await conversation.AskAsync("QUIT", token);
            return greeting.Code == 220 ? greeting.Lines[0].Split(' ')[1] : greeting.ToString();
        }
        catch (Exception hungUp) when (hungUp is SocketException or IOException)
        {
            return "";
        }
    }

    /// <summary>Waits until clients that connect one after the other are greeted by all of these and by nobody else.</summary>
    public Task UntilGreetersAsync(IReadOnlyCollection<string> expected, TimeSpan limit, Func<string> explain, CancellationToken token)
    {
        var seen = new HashSet<string>(StringComparer.Ordinal);
        return Deadline.UntilAsync(
            async each =>
            {
                seen.Clear();
                for (var i = 0; i < 6; i++)
                {
                    seen.Add(await GreeterAsync(each));
                }

                return seen.SetEquals(expected);
            },
            limit,
            () => $"through {Name}, {string.Join(", ", seen)} instead of {string.Join(", ", expected)}\n{Output}\n{explain()}",
            token);
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        await _child.DisposeAsync();
        _directory.Dispose();
    }

    private static string Adapt(string text, IReadOnlyList<string> hosts, int serverPort, int port)
    {
        for (var i = 0; i < 3; i++)
        {
            text = text.Replace(
                string.Create(CultureInfo.InvariantCulture, $"192.168.1.10{i + 1}:2525"),
                string.Create(CultureInfo.InvariantCulture, $"{hosts[i]}:{serverPort}"),
                StringComparison.Ordinal);
        }

        var here = string.Create(CultureInfo.InvariantCulture, $"127.0.0.1:{port}");
        return text
            .Replace("bind *:2525", "bind " + here, StringComparison.Ordinal)
            .Replace("listen 2525", "listen " + here, StringComparison.Ordinal)
            .Replace("connect port 2525", string.Create(CultureInfo.InvariantCulture, $"connect port {serverPort}"), StringComparison.Ordinal);
    }
}
