using System.Net;
using Microsoft.Extensions.Logging;
using Quorumail.Cluster.Raft;

namespace Quorumail.Cluster.Tests.Raft;

public sealed partial class EngineLogTests
{
    private readonly ManualTime _time = new(DateTimeOffset.UnixEpoch);
    private readonly Lines _lines = new();
    private readonly EngineLog _log;

    public EngineLogTests() => _log = new EngineLog(_lines, _time);

    [Fact]
    public void What_is_said_of_a_member_with_every_attempt_is_said_once_in_a_while()
    {
        for (int i = 0; i < 1000; i++)
        {
            Behind(_log, new DnsEndPoint("node3", 4), i);
            Behind(_log, new DnsEndPoint("node2", 2), i);
        }

        Assert.Equal(["node3:4 is behind, entry 0", "node2:2 is behind, entry 0"], _lines.Said);
        _time.Pass(TimeSpan.FromSeconds(11));
        Behind(_log, new DnsEndPoint("node3", 4), 1000);
        Assert.Equal(3, _lines.Said.Count);
    }

    [Fact]
    public void Another_thing_of_the_same_member_and_every_error_are_said()
    {
        Behind(_log, new DnsEndPoint("node3", 4), 0);
        Broken(_log, new DnsEndPoint("node3", 4));
        Broken(_log, new DnsEndPoint("node3", 4));
        Assert.Equal(3, _lines.Said.Count);
    }

    [LoggerMessage(1, LogLevel.Warning, "{Member} is behind, entry {Index}")]
    private static partial void Behind(ILogger log, EndPoint member, long index);

    [LoggerMessage(2, LogLevel.Error, "{Member} is broken")]
    private static partial void Broken(ILogger log, EndPoint member);

    private sealed class Lines : ILogger
    {
        public List<string> Said { get; } = [];

        public IDisposable? BeginScope<TState>(TState state)
            where TState : notnull => null;

        public bool IsEnabled(LogLevel logLevel) => true;

        public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter) =>
            Said.Add(formatter(state, exception).Replace("Unspecified/", "", StringComparison.Ordinal));
    }
}
