using System.Globalization;
using System.Net;
using System.Net.Sockets;
using Quorumail.EndToEnd.Peers;
using Quorumail.EndToEnd.Processes;

namespace Quorumail.EndToEnd.FirstUse;

/// <summary>What somebody meets who has just built the server.</summary>
public sealed class FirstUseTests
{
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(90);

    [Fact]
    public async Task Without_configuration_the_README_line_puts_a_message_into_postmasters_Maildir()
    {
        var token = TestContext.Current.CancellationToken;
        PeerPrograms.RequireRoot();
        await PeerPrograms.RequireAsync("curl", token);
        await PeerPrograms.RequireAsync("network", token);
        using var directory = new TemporaryDirectory();
        var (code, output) = await ChildProcess.RunAsync(
            "unshare",
            ["--net", Path.Combine(Repository.Tests, "FirstUse", "first-use.sh"), ServerProcess.Executable, Path.Combine(Repository.Root, "README.md"), directory.Path],
            Limit,
            token);
        Assert.True(code == 0, output);
    }

    [Fact]
    public async Task A_wrong_configuration_is_told_with_all_its_errors_and_ends_with_2()
    {
        var token = TestContext.Current.CancellationToken;
        using var directory = new TemporaryDirectory();
        await File.WriteAllTextAsync(directory["config.toml"], "[server]\nprot = 2525\nmax_message_size = \"huge\"\n", token);
        var (code, output) = await ChildProcess.RunAsync(ServerProcess.Executable, ["--config", directory["config.toml"]], Limit, token, directory.Path);
        Assert.Equal(2, code);
        Assert.Contains("prot", output, StringComparison.Ordinal);
        Assert.Contains("port", output, StringComparison.Ordinal);
        Assert.Contains("max_message_size", output, StringComparison.Ordinal);
        Assert.False(Directory.Exists(directory["data"]), "a server that does not start makes no data directory");
    }

    [Fact]
    public async Task A_busy_port_is_named_and_the_server_does_not_start()
    {
        var token = TestContext.Current.CancellationToken;
        using var directory = new TemporaryDirectory();
        using var busy = new TcpListener(IPAddress.Loopback, 0);
        busy.Start();
        var port = ((IPEndPoint)busy.LocalEndpoint).Port.ToString(CultureInfo.InvariantCulture);
        var (code, output) = await ChildProcess.RunAsync(
            ServerProcess.Executable,
            ["--host", "127.0.0.1", "--port", port, "--http-port", "0"],
            Limit,
            token,
            directory.Path);
        Assert.Equal(1, code);
        Assert.Contains(port, output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_second_server_on_the_same_data_does_not_start_and_does_no_harm()
    {
        var token = TestContext.Current.CancellationToken;
        await using var first = await ServerProcess.StartAsync(new ServerSettings(), token);
        using var directory = new TemporaryDirectory();
        var (code, output) = await ChildProcess.RunAsync(
            ServerProcess.Executable,
            ["--host", "127.0.0.1", "--port", "0", "--http-port", "0", "--data", first.DataDirectory],
            Limit,
            token,
            directory.Path);
        Assert.Equal(1, code);
        Assert.Contains(first.DataDirectory, output, StringComparison.Ordinal);
        Assert.Equal(HttpStatusCode.OK, (await first.GetAsync("readyz", token)).Status);
    }
}
