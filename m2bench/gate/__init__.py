"""The CI gate: did a change make training slower, and did it change what is computed or learned?"""
