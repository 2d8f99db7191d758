namespace Quorumail.Cluster;

/// <summary>A <see cref="ClusterConfig"/> can't be used; the message tells everything that is wrong.</summary>
public sealed class ClusterConfigException : Exception
{
    /// <summary>Tells everything that is wrong.</summary>
    public ClusterConfigException(IReadOnlyList<string> problems)
        : base(string.Join(" ", problems)) => Problems = problems;

    /// <summary>For serializers.</summary>
    public ClusterConfigException()
    {
    }

    /// <summary>Tells what is wrong.</summary>
    public ClusterConfigException(string message)
        : base(message) => Problems = [message];

    /// <summary>Tells what is wrong.</summary>
    public ClusterConfigException(string message, Exception innerException)
        : base(message, innerException) => Problems = [message];

    /// <summary>Each with what to do.</summary>
    public IReadOnlyList<string> Problems { get; } = [];
}
