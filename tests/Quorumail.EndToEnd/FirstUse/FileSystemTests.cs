using System.Globalization;
using System.Net.Sockets;
using Quorumail.EndToEnd.Processes;
using Quorumail.Server.Torture;

namespace Quorumail.EndToEnd.FirstUse;

/// <summary>File systems that lack what the server would like.</summary>
public sealed class FileSystemTests
{
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(60);

    private readonly CancellationToken _token = TestContext.Current.CancellationToken;

    [Fact]
    public async Task A_file_system_that_can_not_be_written_to_past_the_page_cache_will_do()
    {
        if ((Environment.GetEnvironmentVariable("PATH") ?? "").Split(':').All(path => !File.Exists(Path.Combine(path, "gcc"))))
        {
            Assert.Skip("gcc is not there, which makes such a file system");
        }

        using var directory = new TemporaryDirectory();
        var library = directory["nodirect.so"];
        var (code, text) = await ChildProcess.RunAsync(
            "gcc", ["-O2", "-shared", "-fPIC", "-o", library, Path.Combine(Repository.Tests, "FirstUse", "nodirect.c"), "-ldl"], Limit, _token);
        Assert.True(code == 0, string.Create(CultureInfo.InvariantCulture, $"gcc ended with {code}: {text}"));

        var settings = new ServerSettings();
        await File.WriteAllTextAsync(directory["config.toml"], settings.ToToml(directory["data"]), _token);
        for (var life = 1; life <= 2; life++)
        {
            await using var server = ChildProcess.Start(
                ServerProcess.Executable,
                ["--config", directory["config.toml"]],
                directory["out" + life.ToString(CultureInfo.InvariantCulture)],
                environment: new Dictionary<string, string>(StringComparer.Ordinal) { ["LD_PRELOAD"] = library });
            await Deadline.UntilAsync(() => server.HasExited || Answers(settings.SmtpPort), Limit, () => server.Output, _token);
            Assert.False(server.HasExited, server.Output);
            server.Send(Signal.Terminate);
            Assert.Equal(0, await server.WaitAsync(Limit, _token));
        }

        // What RocksDB was told in the end.
        var options = Directory.GetFiles(directory["data"], "OPTIONS-*", SearchOption.AllDirectories).Order(StringComparer.Ordinal).Last();
        Assert.Contains("use_direct_io_for_flush_and_compaction=false", await File.ReadAllTextAsync(options, _token), StringComparison.Ordinal);
    }

    private static bool Answers(int port)
    {
        try
        {
            using var client = new TcpClient("127.0.0.1", port);
            return true;
        }
        catch (SocketException)
        {
            return false;
        }
    }
}
