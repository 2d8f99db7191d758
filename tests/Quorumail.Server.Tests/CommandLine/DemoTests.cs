using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Text.Json;
using System.Text.RegularExpressions;

namespace Quorumail.Server.Tests.CommandLine;

public sealed partial class DemoTests
{
    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Fact]
    public async Task The_demonstration_starts_three_nodes_that_take_mail_and_share_state_and_leaves_nothing_behind()
    {
        using var demo = Process.Start(new ProcessStartInfo("dotnet", [Path.Combine(AppContext.BaseDirectory, "smtp-server.dll"), "demo"])
        {
            UseShellExecute = false,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        })!;
        var error = demo.StandardError.ReadToEndAsync(Token);
        var ports = new List<int>();
        var smtp = 0;
        var directory = "";
        while (await demo.StandardOutput.ReadLineAsync(Token) is { } line && !line.StartsWith("Ctrl-C", StringComparison.Ordinal))
        {
            if (NodeLine().Match(line) is { Success: true } node)
            {
                smtp = int.Parse(node.Groups["smtp"].Value, CultureInfo.InvariantCulture);
                ports.Add(int.Parse(node.Groups["http"].Value, CultureInfo.InvariantCulture));
                directory = Directory.GetParent(Path.GetDirectoryName(node.Groups["log"].Value)!)!.FullName;
            }
        }

        Assert.True(ports.Count == 3, demo.HasExited ? await error : "it does not say where its nodes are");
        using var client = new HttpClient();
        using var value = new StringContent("hello");
        (await client.PutAsync(new Uri($"http://127.0.0.1:{ports[0]}/api/cluster/state/greeting"), value, Token)).EnsureSuccessStatusCode();
        Assert.Equal("hello", await client.GetStringAsync(new Uri($"http://127.0.0.1:{ports[2]}/api/cluster/state/greeting?read=linearizable"), Token));
        using var status = JsonDocument.Parse(await client.GetStringAsync(new Uri($"http://127.0.0.1:{ports[1]}/api/cluster/status"), Token));
        Assert.Equal(3, status.RootElement.GetProperty("total_nodes").GetInt32());

        await SendAsync(smtp);
        var maildir = Path.Combine(directory, "maildir", "postmaster", "new");
        while (!Directory.Exists(maildir) || Directory.GetFiles(maildir) is not [_])
        {
            await Task.Delay(20, Token);
        }

        using var kill = Process.Start("kill", ["-TERM", demo.Id.ToString(CultureInfo.InvariantCulture)]);
        await demo.WaitForExitAsync(Token);
        Assert.Equal((0, ""), (demo.ExitCode, await error));
        Assert.False(Directory.Exists(directory));
        await Assert.ThrowsAsync<HttpRequestException>(() => client.GetAsync(new Uri($"http://127.0.0.1:{ports[0]}/healthz"), Token));
    }

    private static async Task SendAsync(int port)
    {
        using TcpClient client = new();
        await client.ConnectAsync(IPAddress.Loopback, port, Token);
        using StreamReader replies = new(client.GetStream());
        using StreamWriter commands = new(client.GetStream()) { AutoFlush = true, NewLine = "\r\n" };
        foreach (var (command, code) in new[]
        {
            ("EHLO client.example", "250 "), ("MAIL FROM:<me@example.org>", "250 "), ("RCPT TO:<postmaster@localhost>", "250 "),
            ("DATA", "354 "), ("Subject: hello\r\n\r\nHello\r\n.", "250 "),
        })
        {
            await commands.WriteLineAsync(command);
            string? reply;
            do
            {
                reply = await replies.ReadLineAsync(Token);
            }
            while (reply is { Length: > 3 } && (reply[3] == '-' || reply.StartsWith("220 ", StringComparison.Ordinal)));
            Assert.StartsWith(code, reply, StringComparison.Ordinal);
        }
    }

    [GeneratedRegex(@"^node\d +SMTP 127\.0\.0\.1:(?<smtp>\d+) +HTTP 127\.0\.0\.1:(?<http>\d+) .* log (?<log>.*)$", RegexOptions.ExplicitCapture, matchTimeoutMilliseconds: 1000)]
    private static partial Regex NodeLine();
}
