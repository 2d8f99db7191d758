using System.Globalization;
using System.Net;
using System.Text.Json;
using Quorumail.Server.Torture;
using Quorumail.Server.Torture.Ledger;

namespace Quorumail.EndToEnd.Processes;

/// <summary>The real executable, with a data directory and ports of its own, that can be killed and started again.</summary>
internal sealed class ServerProcess : IAsyncDisposable
{
    private static readonly TimeSpan StartLimit = TimeSpan.FromSeconds(60);
    private static readonly HttpClient Http = new() { Timeout = TimeSpan.FromSeconds(10) };

    private readonly TemporaryDirectory _directory = new();
    private ChildProcess? _child;

    private ServerProcess(ServerSettings settings) => Settings = settings;

    /// <summary>The executable under test: QUORUMAIL_SERVER, or the Release build, or the Debug build of this working copy.</summary>
    public static string Executable { get; } = FindExecutable();

    /// <summary>What it was configured with.</summary>
    public ServerSettings Settings { get; }

    /// <summary>Its SMTP port.</summary>
    public int SmtpPort => Settings.SmtpPort;

    /// <summary>Where its HTTP listener is.</summary>
    public Uri HttpAddress => new(string.Create(CultureInfo.InvariantCulture, $"http://127.0.0.1:{Settings.HttpPort}/"));

    /// <summary>Its data directory.</summary>
    public string DataDirectory => Settings.DataDirectory ?? _directory["data"];

    /// <summary>The file with all that it wrote.</summary>
    public string LogPath => _directory["server.log"];

    /// <summary>The configuration file.</summary>
    public string ConfigPath => _directory["config.toml"];

    /// <summary>The running process.</summary>
    public ChildProcess Child => _child ?? throw new InvalidOperationException("The server was not started.");

    /// <summary>Resident memory in bytes.</summary>
    public long ResidentBytes => ReadMemory("VmRSS:");

    /// <summary>The most resident memory so far, in bytes.</summary>
    public long PeakResidentBytes => ReadMemory("VmHWM:");

    /// <summary>Starts a server and waits until it is ready.</summary>
    public static async Task<ServerProcess> StartAsync(ServerSettings settings, CancellationToken token)
    {
        var server = new ServerProcess(settings);
        try
        {
            await File.WriteAllTextAsync(server.ConfigPath, settings.ToToml(server._directory["data"]), token);
            await server.StartAgainAsync(token);
            return server;
        }
        catch
        {
            await server.DisposeAsync();
            throw;
        }
    }

    /// <summary>Starts the process on the data that it left, and waits until it is ready.</summary>
    public async Task StartAgainAsync(CancellationToken token)
    {
        if (_child is not null)
        {
            await _child.DisposeAsync();
        }

        _child = ChildProcess.Start(Executable, ["--config", ConfigPath], LogPath, _directory.Path);
        await Deadline.UntilAsync(IsReadyAsync, StartLimit, () => $"/readyz was not 200. Its output ends:\n{Child.OutputTail}", token);
    }

    /// <summary>Ends it as a crash does.</summary>
    public Task KillAsync() => Child.KillAsync();

    /// <summary>Asks it to end and returns its exit code.</summary>
    public async Task<int> TerminateAsync(TimeSpan limit, CancellationToken token)
    {
        Child.Send(Signal.Terminate);
        return await Child.WaitAsync(limit, token);
    }

    /// <summary>Text of an HTTP resource, and its status.</summary>
    public async Task<(HttpStatusCode Status, string Body)> GetAsync(string path, CancellationToken token)
    {
        using var response = await Http.GetAsync(new Uri(HttpAddress, path), token);
        return (response.StatusCode, await response.Content.ReadAsStringAsync(token));
    }

    /// <summary>The value of a metric without labels; 0 if it isn't there.</summary>
    public async Task<double> MetricAsync(string name, CancellationToken token)
    {
        var (_, body) = await GetAsync("metrics", token);
        foreach (var line in body.Split('\n'))
        {
            if (line.StartsWith(name + " ", StringComparison.Ordinal))
            {
                return double.Parse(line.AsSpan(name.Length + 1), CultureInfo.InvariantCulture);
            }
        }

        return 0;
    }

    /// <summary>The deliveries that may have happened twice, as <c>smtp-server queue suspects</c> and the HTTP interface list them.</summary>
    public async Task<IReadOnlyList<ListedSuspect>> SuspectsAsync(CancellationToken token)
    {
        var (status, body) = await GetAsync("api/queue/suspects?limit=10000", token);
        Assert.True(status == HttpStatusCode.OK, $"GET /api/queue/suspects: {(int)status} {body}");
        using var document = JsonDocument.Parse(body);
        return [.. document.RootElement.GetProperty("suspects").EnumerateArray().Select(ListedSuspect.Read)];
    }

    /// <summary>Waits until no message is queued.</summary>
    public Task UntilQueueEmptyAsync(TimeSpan limit, CancellationToken token)
    {
        var left = 0.0;
        return Deadline.UntilAsync(
            async each => (left = await MetricAsync("smtp_queue_size", each)) == 0,
            limit,
            () => $"{left} messages are still queued. The server's output ends:\n{Child.OutputTail}",
            token);
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        if (_child is not null)
        {
            await _child.DisposeAsync();
        }

        _directory.Dispose();
    }

    private static string FindExecutable()
    {
        if (Environment.GetEnvironmentVariable("QUORUMAIL_SERVER") is { Length: > 0 } named)
        {
            return named;
        }

        var built = Path.Combine(Repository.Root, "artifacts", "bin", "Quorumail.Server");
        var release = Path.Combine(built, "release", "smtp-server");
        return File.Exists(release) ? release : Path.Combine(built, "debug", "smtp-server");
    }

    private async ValueTask<bool> IsReadyAsync(CancellationToken token)
    {
        if (Child.HasExited)
        {
            throw new InvalidOperationException($"The server ended with {Child.ExitCode}. Its output ends:\n{Child.OutputTail}");
        }

        try
        {
            return (await GetAsync("readyz", token)).Status == HttpStatusCode.OK;
        }
        catch (HttpRequestException)
        {
            return false;
        }
    }

    private long ReadMemory(string field)
    {
        var line = File.ReadLines(string.Create(CultureInfo.InvariantCulture, $"/proc/{Child.Id}/status"))
            .First(each => each.StartsWith(field, StringComparison.Ordinal));
        return long.Parse(line.Split(' ', StringSplitOptions.RemoveEmptyEntries)[1], CultureInfo.InvariantCulture) * 1024;
    }
}
