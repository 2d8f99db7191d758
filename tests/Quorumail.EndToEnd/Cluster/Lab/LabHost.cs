using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Runtime.InteropServices;
using System.Text;
using Microsoft.Win32.SafeHandles;
using Quorumail.EndToEnd.Processes;

namespace Quorumail.EndToEnd.Cluster.Lab;

/// <summary>A host of a <see cref="NetworkLab"/>: a network namespace with loopback and one interface, whose wire is in our hands.</summary>
internal sealed partial class LabHost : IDisposable
{
    private const string Device = "lab0";
    private const uint SetInterface = 0x400454CA; // TUNSETIFF
    private const short PlainPackets = 0x0001 | 0x1000; // IFF_TUN | IFF_NO_PI
    private const int OpenFlags = 2 | 0x800 | 0x8_0000; // O_RDWR | O_NONBLOCK | O_CLOEXEC
    private const int RequestSize = 40; // sizeof(struct ifreq)
    private const int NameSize = 16; // IFNAMSIZ

    private static readonly TimeSpan SetUpLimit = TimeSpan.FromSeconds(20);

    private readonly NetworkNamespace _namespace = NetworkNamespace.Create();

    private LabHost(IPAddress address)
    {
        Address = address;
        try
        {
            Wire = _namespace.Run(OpenWire);
        }
        catch
        {
            _namespace.Dispose();
            throw;
        }
    }

    /// <summary>Its address in the lab.</summary>
    public IPAddress Address { get; }

    /// <summary>What it sends is read here, a packet at a time, and what it is to receive is written.</summary>
    public SafeFileHandle Wire { get; }

    /// <summary>Makes a host; its interface is up when this returns.</summary>
    public static async Task<LabHost> CreateAsync(IPAddress address, CancellationToken token)
    {
        var host = new LabHost(address);
        try
        {
            // Large packets cost less: what is tested is not the number of packets.
            var script = $"ip link set lo up && ip addr add {address}/24 dev {Device} && ip link set {Device} mtu 9000 txqueuelen 5000 up";
            var (program, arguments) = host.Inside("/bin/sh", ["-c", script]);
            var (code, output) = await ChildProcess.RunAsync(program, arguments, SetUpLimit, token);
            Assert.True(code == 0, $"A host of the lab can't be set up: {output}");
            return host;
        }
        catch
        {
            host.Dispose();
            throw;
        }
    }

    /// <summary>The command that runs a program on this host; the process is the program's own.</summary>
    public (string Program, IReadOnlyList<string> Arguments) Inside(string program, IEnumerable<string> arguments) =>
        ("nsenter", ["--net=" + _namespace.Path, "--", program, .. arguments]);

    /// <summary>A TCP socket on this host; through its loopback it is reached whatever happens to its wire.</summary>
    public Socket OpenSocket() => _namespace.OpenSocket();

    /// <inheritdoc/>
    public void Dispose()
    {
        Wire?.Dispose();
        _namespace.Dispose();
    }

    private static SafeFileHandle OpenWire()
    {
        var descriptor = Open("/dev/net/tun", OpenFlags);
        NetworkNamespace.Check(descriptor);
        SafeFileHandle wire = new(descriptor, ownsHandle: true);
        Span<byte> request = stackalloc byte[RequestSize];
        request.Clear();
        Encoding.ASCII.GetBytes(Device, request);
        MemoryMarshal.Write(request[NameSize..], PlainPackets);
        NetworkNamespace.Check(Control(wire, SetInterface, request));
        return wire;
    }

    /// <inheritdoc/>
    public override string ToString() => string.Create(CultureInfo.InvariantCulture, $"{Address}");

    [LibraryImport("libc", EntryPoint = "open", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int Open(string path, int flags);

    [LibraryImport("libc", EntryPoint = "ioctl", SetLastError = true)]
    private static partial int Control(SafeFileHandle file, nuint request, Span<byte> argument);
}
