namespace Quorumail.EndToEnd.Cluster.Lab;

/// <summary>What the network does to the packets from one host to another; nothing by default.</summary>
internal sealed record LinkFault
{
    /// <summary>A faultless link.</summary>
    public static LinkFault None { get; } = new();

    /// <summary>Whether all are lost, silently.</summary>
    public bool IsCut { get; init; }

    /// <summary>How much later they arrive.</summary>
    public TimeSpan Delay { get; init; }

    /// <summary>Up to how much more or less than <see cref="Delay"/>; what is sent later may arrive earlier then.</summary>
    public TimeSpan Jitter { get; init; }

    /// <summary>Which share is lost, 0 to 1.</summary>
    public double Loss { get; init; }

    /// <summary>How much gets through; what can't wait for its turn is lost. 0: no limit.</summary>
    public int BytesPerSecond { get; init; }

    /// <summary>Which share arrives twice, 0 to 1.</summary>
    public double Duplicates { get; init; }
}
