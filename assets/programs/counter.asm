; Counts calls in slot 0 and adds the first argument to a total in slot 1.
; arguments: r1 = amount
const r2 0
load r3 [r2]
const r4 1
add r3 r3 r4
store [r2] r3
load r5 [r4]
add r5 r5 r1
store [r4] r5
mov r0 r5
halt
