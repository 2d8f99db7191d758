using Quorumail.EndToEnd.Processes;
using Quorumail.Server.Torture.Sink;

namespace Quorumail.EndToEnd.Transcripts;

/// <summary>The servers that transcripts name, each started when the first transcript asks for it, and the sink behind them all.</summary>
public sealed class TranscriptServers : IAsyncDisposable
{
    private readonly Dictionary<string, ServerProcess> _servers = new(StringComparer.Ordinal);

    internal SmtpSink Sink { get; } = new() { KeepsMessages = true };

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        foreach (var server in _servers.Values)
        {
            await server.DisposeAsync();
        }

        await Sink.DisposeAsync();
    }

    // The transcripts of a class are played one after the other.
    internal async Task<ServerProcess> GetAsync(string profile, CancellationToken token)
    {
        if (!_servers.TryGetValue(profile, out var server))
        {
            server = await ServerProcess.StartAsync(Configure(profile), token);
            _servers[profile] = server;
        }

        return server;
    }

    private ServerSettings Configure(string profile)
    {
        var common = new ServerSettings
        {
            ServerLines = ["local_domains = [\"example.test\"]", "relay_domains = [\"relay.test\"]"],
            Tables = "[[users]]\nname = \"alice\"\naddresses = [\"alice@example.test\"]\n",
        }.RoutedTo(Sink.Port);
        string[] lines = profile switch
        {
            "mx" => [],
            "small" => ["max_message_size = 65536", "max_recipients = 100"],
            "trusted" => ["trusted_networks = [\"127.0.0.0/8\"]"],
            "normalize" => ["bare_newlines = \"normalize\""],
            _ => throw new ArgumentException($"No transcript server is called {profile}.", nameof(profile)),
        };
        return common with { ServerLines = [.. common.ServerLines, .. lines] };
    }
}
