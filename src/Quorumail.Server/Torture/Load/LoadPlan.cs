using System.Net;
using System.Net.Sockets;

namespace Quorumail.Server.Torture.Load;

/// <summary>What a <see cref="LoadClient"/> sends.</summary>
internal sealed record LoadPlan
{
    /// <summary>Port of the server.</summary>
    public required int Port { get; init; }

    /// <summary>Address of the server.</summary>
    public IPAddress Address { get; init; } = IPAddress.Loopback;

    /// <summary>Makes a socket of the server's network; by default of this process's.</summary>
    public Func<Socket>? OpenSocket { get; init; }

    /// <summary>After which a reply is not waited for any more: the outcome is unknown then. Null: a minute, after which the run fails.</summary>
    public TimeSpan? Patience { get; init; }

    /// <summary>Begins every message's id; unique in a run.</summary>
    public string Name { get; init; } = "m";

    /// <summary>Connections at once.</summary>
    public int Sessions { get; init; } = 8;

    /// <summary>Messages a second, spread over the sessions; what is late is caught up with. 0: as many as the server takes.</summary>
    public int Rate { get; init; }

    /// <summary>Messages in all; 0: until stopped.</summary>
    public long Messages { get; init; }

    /// <summary>Smallest message, octets.</summary>
    public int MinimumSize { get; init; } = 600;

    /// <summary>Largest message, octets.</summary>
    public int MaximumSize { get; init; } = 12_000;

    /// <summary>
    /// Whether some messages are larger than that: one of 10 has 17 to 300 KiB, one of 200 has 1 to 4 MiB. Bodies of up to 16 KiB travel in the
    /// replicated log, larger ones beside it.
    /// </summary>
    public bool HasLarge { get; init; }

    /// <summary>Recipients of a message at most.</summary>
    public int MaximumRecipients { get; init; } = 3;

    /// <summary>Sends a quarter of the messages by BDAT (RFC 3030).</summary>
    public bool UsesChunking { get; init; } = true;

    /// <summary>The reverse-path.</summary>
    public string Sender { get; init; } = "sender@ledger.example";

    /// <summary>The address of a message's n-th recipient.</summary>
    public Func<int, string> Recipient { get; init; } = static index => $"r{index}@sink.example";

    /// <summary>Seeds sizes, bodies and choices.</summary>
    public int Seed { get; init; } = 1;

    /// <summary>Draws the size of a message, octets.</summary>
    public int DrawSize(Random random) => (HasLarge ? random.Next(1000) : 1000) switch
    {
        < 5 => random.Next(1 << 20, 4 << 20),
        < 105 => random.Next(17 << 10, 300 << 10),
        _ => random.Next(MinimumSize, MaximumSize + 1),
    };
}
