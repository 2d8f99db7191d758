using System.Globalization;
using System.Text.Json;
using Quorumail.EndToEnd.Processes;
using Quorumail.Server.Demo;
using Quorumail.Server.Torture;

namespace Quorumail.EndToEnd.Torture;

/// <summary>The proof that is shipped, as its user calls it: <c>smtp-server torture</c>.</summary>
public sealed class TortureTests(ITestOutputHelper output)
{
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(120);

    private readonly CancellationToken _token = TestContext.Current.CancellationToken;

    [Fact]
    public async Task A_cluster_of_its_own_keeps_its_promises_under_faults_until_told_to_stop_and_nothing_is_left()
    {
        using var directory = new TemporaryDirectory();
        await using var torture = ChildProcess.Start(
            ServerProcess.Executable,
            ["torture", "--minutes", "30", "--seed", "5141", "--json"],
            directory["report"],
            environment: new Dictionary<string, string>(StringComparer.Ordinal) { ["TMPDIR"] = directory.Path });
        await Deadline.UntilAsync(
            () => torture.HasExited || torture.Output.Split("answered 250").Length > 2, Limit, () => $"no fault:\n{torture.Output}", _token);
        torture.Send(Signal.Terminate);
        var code = await torture.WaitAsync(Limit, _token);
        output.WriteLine(torture.Output);

        Assert.Equal(0, code);
        var report = JsonElement.Parse(torture.Output[torture.Output.IndexOf("\n{", StringComparison.Ordinal)..]);
        Assert.Equal("kept", report.GetProperty("result").GetString());
        Assert.True(report.GetProperty("ended_early").GetBoolean());
        Assert.NotEqual(0, report.GetProperty("faults").GetArrayLength());
        Assert.NotEqual(0, report.GetProperty("recipients").GetProperty("acknowledged").GetInt32());
        Assert.Empty(Directory.GetDirectories(directory.Path));
        Assert.Empty(ProcessesThatName(directory.Path));
    }

    [Fact]
    public async Task A_cluster_of_the_users_own_is_broken_and_mended_by_the_users_commands_alone()
    {
        var port = FreePort.Take();
        await using var server = await ServerProcess.StartAsync(new ServerSettings().Trusting().RoutedTo(port, "torture.example").Retrying(), _token);
        using var directory = new TemporaryDirectory();
        var signal = $"kill -$0 {server.Child.Id.ToString(CultureInfo.InvariantCulture)}; echo \"$0 node $QUORUMAIL_NODE\"";
        var (code, text) = await ChildProcess.RunAsync(
            ServerProcess.Executable,
            [
                "torture", "--minutes", "0.06", "--seed", "7",
                "--node", string.Create(CultureInfo.InvariantCulture, $"127.0.0.1:{server.SmtpPort}"),
                "--api", server.HttpAddress.ToString(),
                "--sink", string.Create(CultureInfo.InvariantCulture, $"127.0.0.1:{port}"),
                "--break", signal.Replace("$0", "STOP", StringComparison.Ordinal),
                "--mend", signal.Replace("$0", "CONT", StringComparison.Ordinal),
            ],
            Limit,
            _token,
            directory.Path);
        output.WriteLine(text);

        Assert.Equal(0, code);
        Assert.Contains("STOP node 1\nCONT node 1\n", text, StringComparison.Ordinal);
        Assert.Contains("\nKEPT: every promise was kept. 1 node, 1 fault", text, StringComparison.Ordinal);
        Assert.False(server.Child.HasExited);
    }

    [Fact]
    public async Task Mail_that_does_not_come_back_to_the_sink_is_told_before_anything_is_broken()
    {
        var port = FreePort.Take();
        await using var server = await ServerProcess.StartAsync(new ServerSettings(), _token);
        var (code, text) = await ChildProcess.RunAsync(
            ServerProcess.Executable,
            [
                "torture",
                "--node", string.Create(CultureInfo.InvariantCulture, $"127.0.0.1:{server.SmtpPort}"),
                "--api", server.HttpAddress.ToString(),
                "--sink", string.Create(CultureInfo.InvariantCulture, $"127.0.0.1:{port}"),
            ],
            Limit,
            _token);

        Assert.Equal(1, code);
        Assert.Contains("match = \"torture.example\"", text, StringComparison.Ordinal);
        Assert.Contains("550 5.7.1", text, StringComparison.Ordinal);
        Assert.Contains("trusted_networks", text, StringComparison.Ordinal);
    }

    private static string[] ProcessesThatName(string path) =>
    [
        .. Directory.GetDirectories("/proc")
            .Where(each => int.TryParse(Path.GetFileName(each), CultureInfo.InvariantCulture, out _))
            .Select(CommandLineOf)
            .Where(line => line.Contains(path, StringComparison.Ordinal)),
    ];

    private static string CommandLineOf(string process)
    {
        try
        {
            return File.ReadAllText(Path.Combine(process, "cmdline"));
        }
        catch (IOException)
        {
            // It has ended meanwhile.
            return "";
        }
    }
}
