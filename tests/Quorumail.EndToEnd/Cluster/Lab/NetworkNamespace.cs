using System.ComponentModel;
using System.Globalization;
using System.Net.Sockets;
using System.Runtime.ExceptionServices;
using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace Quorumail.EndToEnd.Cluster.Lab;

/// <summary>
/// A network of a host's own (network_namespaces(7)), without a name: it ends with the last process that holds it or lives in
/// it, so no run can meet another one's and none is left behind. Needs root.
/// </summary>
internal sealed partial class NetworkNamespace : IDisposable
{
    private const int NewNetwork = 0x4000_0000; // CLONE_NEWNET
    private const int CloseOnExec = 0x8_0000; // O_CLOEXEC

    private readonly SafeFileHandle _handle;

    private NetworkNamespace(SafeFileHandle handle) => _handle = handle;

    /// <summary>Where other processes find it, while this one lives: for nsenter(1).</summary>
    public string Path =>
        string.Create(CultureInfo.InvariantCulture, $"/proc/{Environment.ProcessId}/fd/{_handle.DangerousGetHandle()}");

    /// <summary>Makes one that holds nothing but a loopback interface, which is down.</summary>
    /// <exception cref="Win32Exception">Not permitted.</exception>
    public static NetworkNamespace Create() => new(OnThreadOfItsOwn(() =>
    {
        Check(Unshare(NewNetwork));
        var descriptor = Open("/proc/thread-self/ns/net", CloseOnExec);
        Check(descriptor);
        return new SafeFileHandle(descriptor, ownsHandle: true);
    }));

    /// <summary>Runs something inside, on a thread of its own. Sockets and devices that are opened there stay there.</summary>
    public T Run<T>(Func<T> action) => OnThreadOfItsOwn(() =>
    {
        Check(SetNamespace(_handle, NewNetwork));
        return action();
    });

    /// <summary>A TCP socket inside: it reaches what listens on loopback there, whatever is done to the host's network.</summary>
    public Socket OpenSocket() => Run(() => new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp) { NoDelay = true });

    /// <inheritdoc/>
    public void Dispose() => _handle.Dispose();

    /// <summary>Throws what errno says if a call of libc has failed.</summary>
    internal static void Check(int result)
    {
        if (result < 0)
        {
            throw new Win32Exception(Marshal.GetLastPInvokeError());
        }
    }

    // A thread that has entered a namespace is of no use to anybody else.
    private static T OnThreadOfItsOwn<T>(Func<T> action)
    {
        T? result = default;
        ExceptionDispatchInfo? problem = null;
        var thread = new Thread(() =>
        {
            try
            {
                result = action();
            }
            catch (Exception e)
            {
                problem = ExceptionDispatchInfo.Capture(e);
            }
        });
        thread.Start();
        thread.Join();
        problem?.Throw();
        return result!;
    }

    [LibraryImport("libc", EntryPoint = "unshare", SetLastError = true)]
    private static partial int Unshare(int flags);

    [LibraryImport("libc", EntryPoint = "setns", SetLastError = true)]
    private static partial int SetNamespace(SafeFileHandle handle, int kind);

    [LibraryImport("libc", EntryPoint = "open", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int Open(string path, int flags);
}
