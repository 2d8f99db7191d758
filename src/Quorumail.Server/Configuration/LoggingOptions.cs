namespace Quorumail.Server.Configuration;

/// <summary>How log lines look.</summary>
public enum LogFormat
{
    /// <summary><c>key=value</c> words.</summary>
    Text = 0,

    /// <summary>One JSON object a line.</summary>
    Json = 1,
}

/// <summary><c>[logging]</c>: what goes to standard output.</summary>
public sealed record LoggingOptions
{
    /// <summary>How lines look.</summary>
    public LogFormat Format { get; init; } = LogFormat.Text;

    /// <summary>The least level that is written: debug, information, warning or error. Mail events are of level information.</summary>
    public LogThreshold Level { get; init; } = LogThreshold.Information;

    /// <summary>Events that may wait for a slow reader of the log; further ones are dropped and counted. Default 65 536: some seconds of a busy server.</summary>
    [ConfigKey(Minimum = 64, Maximum = 1_048_576)]
    public int Buffer { get; init; } = 65_536;
}

/// <summary>The least level that is written.</summary>
public enum LogThreshold
{
    /// <summary>Everything, protocol details included.</summary>
    Debug = 1,

    /// <summary>Mail events and what happens to the server.</summary>
    Information = 2,

    /// <summary>What deserves a look.</summary>
    Warning = 3,

    /// <summary>What failed.</summary>
    Error = 4,
}
