using System.Buffers;
using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace Quorumail.EndToEnd.Cluster.Lab;

/// <summary>
/// Some hosts, each a network namespace, and the network between them, which is this process: every packet from one to
/// another passes here and is lost, late or doubled as the tests wish. So nothing is asked of the kernel but namespaces and
/// TUN devices: many have neither netem nor a packet filter.
/// </summary>
internal sealed partial class NetworkLab : IAsyncDisposable
{
    private const int PacketMax = 65_536;
    private const int PacketsAtOnce = 256;
    private const int LatePacketsMax = 20_000;
    private const int PollMilliseconds = 20;
    private const double BacklogSecondsMax = 0.3; // Of a narrow link: as much as routers keep.
    private const int AboveTheTested = -10; // nice(2)
    private const short Readable = 1; // POLLIN

    private readonly List<LabHost> _hosts = [];
    private readonly Lock _gate = new();
    private readonly Random _random;
    private readonly PriorityQueue<(int To, byte[] Packet, int Length), (long Due, long Number)> _late = new();
    private readonly Thread _thread;
    private readonly long[,] _isFreeAt;
    private LinkFault[][] _links;
    private long _number;
    private volatile bool _isStopping;

    private NetworkLab(IReadOnlyList<LabHost> hosts, int seed)
    {
        _hosts.AddRange(hosts);
        _random = new Random(seed);
        _links = Faultless(hosts.Count);
        _isFreeAt = new long[hosts.Count, hosts.Count];
        _thread = new Thread(Forward) { IsBackground = true, Name = "lab" };
        _thread.Start();
    }

    /// <summary>The hosts.</summary>
    public IReadOnlyList<LabHost> Hosts => _hosts;

    /// <summary>Packets that went from one host to another.</summary>
    public long Forwarded { get; private set; }

    /// <summary>Packets lost on purpose.</summary>
    public long Lost { get; private set; }

    /// <summary>Null if this machine can have a lab, else why not.</summary>
    public static string? Obstacle()
    {
        if (!Environment.IsPrivilegedProcess)
        {
            return "network namespaces need root";
        }

        foreach (var program in (string[])["nsenter", "ip", "mkfs.ext4"])
        {
            if (!(Environment.GetEnvironmentVariable("PATH") ?? "").Split(':').Any(path => File.Exists(Path.Combine(path, program))))
            {
                return $"{program} is not there (Debian: util-linux, iproute2, e2fsprogs)";
            }
        }

        try
        {
            using var host = NetworkNamespace.Create();
            return File.Exists("/dev/net/tun") ? null : "there is no /dev/net/tun";
        }
        catch (System.ComponentModel.Win32Exception refused)
        {
            return $"network namespaces are not permitted: {refused.Message}";
        }
    }

    /// <summary>Makes hosts with the addresses 10.77.0.1 and so on, which nobody outside can see, and joins them.</summary>
    public static async Task<NetworkLab> CreateAsync(int count, int seed, CancellationToken token)
    {
        List<LabHost> hosts = [];
        try
        {
            for (var i = 1; i <= count; i++)
            {
                hosts.Add(await LabHost.CreateAsync(IPAddress.Parse(string.Create(CultureInfo.InvariantCulture, $"10.77.0.{i}")), token));
            }

            return new NetworkLab(hosts, seed);
        }
        catch
        {
            hosts.ForEach(host => host.Dispose());
            throw;
        }
    }

    /// <summary>Changes what happens to packets from one host to another.</summary>
    public void Change(int from, int to, Func<LinkFault, LinkFault> change)
    {
        lock (_gate)
        {
            LinkFault[][] links = [.. _links.Select(row => row.ToArray())];
            links[from][to] = change(links[from][to]);
            Volatile.Write(ref _links, links);
        }
    }

    /// <summary>Changes the links between all hosts, both directions.</summary>
    public void ChangeAll(Func<LinkFault, LinkFault> change)
    {
        foreach (var (from, to) in Pairs())
        {
            Change(from, to, change);
        }
    }

    /// <summary>Loses what one host sends to another, silently; the other direction goes on.</summary>
    public void CutOneWay(int from, int to) => Change(from, to, link => link with { IsCut = true });

    /// <summary>Cuts the link between two hosts, silently.</summary>
    public void Cut(int one, int other)
    {
        CutOneWay(one, other);
        CutOneWay(other, one);
    }

    /// <summary>Cuts a host off from all others, silently.</summary>
    public void Isolate(int host)
    {
        foreach (var other in Enumerable.Range(0, _hosts.Count).Where(other => other != host))
        {
            Cut(host, other);
        }
    }

    /// <summary>Makes every link faultless.</summary>
    public void Heal()
    {
        lock (_gate)
        {
            Volatile.Write(ref _links, Faultless(_hosts.Count));
        }
    }

    /// <inheritdoc/>
    public ValueTask DisposeAsync()
    {
        _isStopping = true;
        _thread.Join();
        _hosts.ForEach(host => host.Dispose());
        return ValueTask.CompletedTask;
    }

    private static LinkFault[][] Faultless(int count) => [.. Enumerable.Range(0, count).Select(_ => Enumerable.Repeat(LinkFault.None, count).ToArray())];

    private IEnumerable<(int From, int To)> Pairs() =>
        from one in Enumerable.Range(0, _hosts.Count)
        from other in Enumerable.Range(0, _hosts.Count)
        where one != other
        select (one, other);

    // One thread, so that the random numbers come in one order and nothing is locked.
    private void Forward()
    {
        // The network is no slower than it is said to be, however busy the machine is.
        _ = SetPriority(0, 0, AboveTheTested);
        var packet = new byte[PacketMax];
        PollEntry[] entries = [.. _hosts.Select(host => new PollEntry { Descriptor = (int)host.Wire.DangerousGetHandle(), Events = Readable })];
        while (!_isStopping)
        {
            _ = Poll(entries, (nuint)entries.Length, UntilNextDue());
            DeliverDue();
            for (var from = 0; from < entries.Length; from++)
            {
                if ((entries[from].Returned & Readable) != 0)
                {
                    Take(from, packet);
                }
            }
        }
    }

    private int UntilNextDue() => !_late.TryPeek(out _, out var next)
        ? PollMilliseconds
        : (int)Math.Clamp((next.Due - Stopwatch.GetTimestamp()) * 1000 / Stopwatch.Frequency, 0, PollMilliseconds);

    private void DeliverDue()
    {
        while (_late.TryPeek(out var late, out var when) && when.Due <= Stopwatch.GetTimestamp())
        {
            _late.Dequeue();
            _ = Write(_hosts[late.To].Wire, late.Packet.AsSpan(0, late.Length), late.Length);
            ArrayPool<byte>.Shared.Return(late.Packet);
        }
    }

    private void Take(int from, byte[] packet)
    {
        for (var i = 0; i < PacketsAtOnce; i++)
        {
            var length = (int)Read(_hosts[from].Wire, packet, packet.Length);
            if (length <= 0)
            {
                return;
            }

            if (DestinationOf(packet.AsSpan(0, length)) is var to and >= 0)
            {
                Pass(from, to, packet.AsSpan(0, length));
            }
        }
    }

    // IPv4 only: what else a host says on its own (router solicitations) concerns nobody.
    private int DestinationOf(ReadOnlySpan<byte> packet) =>
        packet.Length >= 20 && packet[0] >> 4 == 4 && packet[16] == 10 && packet[17] == 77 && packet[18] == 0 && packet[19] <= _hosts.Count ? packet[19] - 1 : -1;

    private void Pass(int from, int to, ReadOnlySpan<byte> packet)
    {
        var link = Volatile.Read(ref _links)[from][to];
        if (link.IsCut || (link.Loss > 0 && _random.NextDouble() < link.Loss))
        {
            Lost++;
            return;
        }

        for (var copies = link.Duplicates > 0 && _random.NextDouble() < link.Duplicates ? 2 : 1; copies > 0; copies--)
        {
            Forwarded++;
            var delay = link.Delay + (link.Jitter * ((2 * _random.NextDouble()) - 1));
            if (link.BytesPerSecond > 0)
            {
                var (now, transmission) = (Stopwatch.GetTimestamp(), packet.Length * Stopwatch.Frequency / link.BytesPerSecond);
                var start = Math.Max(now, _isFreeAt[from, to]);
                if (Stopwatch.GetElapsedTime(now, start).TotalSeconds > BacklogSecondsMax)
                {
                    Lost++;
                    continue;
                }

                _isFreeAt[from, to] = start + transmission;
                delay += Stopwatch.GetElapsedTime(now, start + transmission);
            }

            if (delay <= TimeSpan.Zero)
            {
                _ = Write(_hosts[to].Wire, packet, packet.Length);
            }
            else if (_late.Count < LatePacketsMax)
            {
                var copy = ArrayPool<byte>.Shared.Rent(packet.Length);
                packet.CopyTo(copy);
                var due = Stopwatch.GetTimestamp() + (long)(delay.TotalSeconds * Stopwatch.Frequency);
                _late.Enqueue((to, copy, packet.Length), (due, _number++));
            }
        }
    }

    [LibraryImport("libc", EntryPoint = "poll", SetLastError = true)]
    private static partial int Poll(Span<PollEntry> entries, nuint count, int milliseconds);

    [LibraryImport("libc", EntryPoint = "read", SetLastError = true)]
    private static partial nint Read(SafeFileHandle file, Span<byte> buffer, nint count);

    [LibraryImport("libc", EntryPoint = "write", SetLastError = true)]
    private static partial nint Write(SafeFileHandle file, ReadOnlySpan<byte> buffer, nint count);

    [LibraryImport("libc", EntryPoint = "setpriority", SetLastError = true)]
    private static partial int SetPriority(int which, uint who, int priority);

    /// <summary>struct pollfd.</summary>
    [StructLayout(LayoutKind.Sequential)]
    private struct PollEntry
    {
        public int Descriptor;
        public short Events;
        public short Returned;
    }
}
